"""The documents as a drawing: services and stores with what they need, or sites with what is there. Pure."""

from __future__ import annotations

from aegis_plan.documents.model import Documents, LocalRepository
from aegis_plan.report.drawing import Drawing, DrawnEdge, DrawnNode, drawing
from aegis_plan.topology.graph import tier_of_store


def draw_services(documents: Documents) -> Drawing:
    """Services and stores, each below what it needs, the most critical first."""
    nodes = []
    for name, store in documents.stores.items():
        sites = tuple(dict.fromkeys(member.site for member in store.members.values()))
        tier = tier_of_store(documents, name)
        words: tuple[str, ...] = (f"{store.engine} store", f"tier {tier}", ", ".join(sites))
        nodes.append(DrawnNode(f"stores/{name}", name, "store", words, tier, 0, sites))
    for name, service in documents.services.items():
        words = (f"tier {service.tier}", ", ".join(service.runs_at))
        nodes.append(DrawnNode(f"services/{name}", name, "service", words, service.tier, 1, service.runs_at))
    edges = [
        DrawnEdge(f"services/{name}", f"{'stores' if used in documents.stores else 'services'}/{used}")
        for name, service in documents.services.items()
        for used in service.uses
    ]
    counts = [
        _count(len(documents.stores), "store"),
        _count(len(documents.services), "service"),
        _count(len(documents.sites), "site"),
    ]
    title = f"{documents.system.name}: {', '.join(counts)}"
    return drawing("services", title, nodes, edges, tiers=tier_names(documents))


def draw_sites(documents: Documents) -> Drawing:
    """Sites, and below each the members of stores, the repositories and the services that are there."""
    nodes, edges = [], []
    for name, site in documents.sites.items():
        reach = "local" if isinstance(site.reach, str) else f"ssh {site.reach.ssh}"
        nodes.append(
            DrawnNode(f"sites/{name}", name, "site", (f"{site.role} site", reach), 0, int(site.role != "primary"))
        )
    for name, store in documents.stores.items():
        tier = tier_of_store(documents, name)
        for member, declared in store.members.items():
            node = f"stores/{name}/{member}"
            words: tuple[str, ...] = (f"{store.engine} server", f"tier {tier}")
            nodes.append(DrawnNode(node, f"{name}/{member}", "store", words, tier, 2, (name,)))
            edges.append(DrawnEdge(node, f"sites/{declared.site}"))
    for name, service in documents.services.items():
        words = (f"tier {service.tier}",)
        nodes.append(DrawnNode(f"services/{name}", name, "service", words, service.tier, 3))
        edges += [DrawnEdge(f"services/{name}", f"sites/{site}") for site in service.runs_at]
    for name, repository in documents.repositories.items():
        where = (
            repository.path
            if isinstance(repository, LocalRepository)
            else getattr(repository, "bucket", "") or getattr(repository, "container", "")
        )
        words = (f"{repository.kind} repository", where)
        nodes.append(DrawnNode(f"repositories/{name}", name, "repository", words, 1_000, 4))
        if repository.site is not None:
            edges.append(DrawnEdge(f"repositories/{name}", f"sites/{repository.site}"))
    title = f"{documents.system.name}: what is where"
    return drawing("sites", title, nodes, edges, tiers=tier_names(documents))


def tier_names(documents: Documents) -> dict[int, str]:
    """Number of a tier to its name."""
    return {int(number): tier.name for number, tier in documents.tiers.items() if number.isdecimal()}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
