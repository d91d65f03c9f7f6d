"""Services, stores and sites as one graph: who needs whom, in which order things come back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis_plan.documents.model import Documents
from aegis_plan.errors import AegisError

if TYPE_CHECKING:
    from networkx import DiGraph

_LOWEST = 1_000_000


class Topology:
    """The graph of one system. Nodes are `services/x`, `stores/y` and `sites/z`; an edge leads from what is needed to
    what needs it."""

    def __init__(self, documents: Documents) -> None:
        import networkx

        self.documents = documents
        self.graph: DiGraph[str] = networkx.DiGraph()
        for section in ("services", "stores", "sites"):
            self.graph.add_nodes_from(f"{section}/{name}" for name in getattr(documents, section))
        for name, service in documents.services.items():
            for used in service.uses:
                self.graph.add_edge(self.node(used), f"services/{name}")
            for site in service.runs_at:
                self.graph.add_edge(f"sites/{site}", f"services/{name}")
        for name, store in documents.stores.items():
            for member in store.members.values():
                self.graph.add_edge(f"sites/{member.site}", f"stores/{name}")

    def node(self, name: str) -> str:
        """`services/x` or `stores/x` for a bare name; a full one stays.

        Raises AegisError `topology-unknown`."""
        for candidate in (name, f"services/{name}", f"stores/{name}", f"sites/{name}"):
            if candidate in self.graph:
                return candidate
        raise AegisError(
            "topology-unknown", "no such service, store or site", f"nothing is called '{name}'", "see 'aegis validate'"
        )

    def dependents(self, name: str) -> tuple[str, ...]:
        """Everything that needs it, directly or not, in the order in which it comes back.

        What runs at a site or has a member there counts as needing it, though it may run elsewhere too."""
        import networkx

        found = networkx.descendants(self.graph, self.node(name))
        return tuple(node for node in self.order() if node in found)

    def needs(self, name: str) -> tuple[str, ...]:
        """Everything that it needs, directly or not, sites left out, in the order in which it comes back."""
        import networkx

        found = networkx.ancestors(self.graph, self.node(name))
        return tuple(node for node in self.order() if node in found and not node.startswith("sites/"))

    def tier(self, name: str) -> int:
        """The tier of a service or store: a store takes that of its most critical user, and the lowest declared one
        when nobody uses it. A site has tier 0: everything there waits for it."""
        node = self.node(name)
        section, _, bare = node.partition("/")
        if section == "sites":
            return 0
        if section == "services":
            return self.documents.services[bare].tier
        return tier_of_store(self.documents, bare)

    def order(self) -> tuple[str, ...]:
        """All nodes: what is needed before what needs it, then by tier, then by name; the same for the same documents.

        Raises AegisError `dependency-cycle`."""
        import networkx

        circle = self.cycle()
        if circle:
            raise AegisError(
                "dependency-cycle",
                "services need each other in a circle",
                " -> ".join(circle),
                "nothing of them could begin first; remove one of these uses",
            )
        tiers = {node: self.tier(node) for node in self.graph}
        return tuple(
            networkx.lexicographical_topological_sort(self.graph, key=lambda node: f"{tiers[node]:07d} {node}")
        )

    def cycle(self) -> tuple[str, ...]:
        """The names on one circle, the first again at the end; empty when there is none."""
        import networkx

        if networkx.is_directed_acyclic_graph(self.graph):
            return ()
        edges = networkx.find_cycle(self.graph)
        # Edges lead to what needs; people read a circle in the direction of `uses`.
        names = [edge[1].partition("/")[2] for edge in reversed(edges)]
        return (*names, names[0])


def tier_of_store(documents: Documents, name: str) -> int:
    """The tier of the store's most critical user; the lowest declared tier when no service uses it, directly or not.

    Without any tier it is 1."""
    users: dict[str, list[str]] = {}
    for service, declared in documents.services.items():
        for used in declared.uses:
            users.setdefault(used, []).append(service)
    seen: set[str] = set()
    waiting = list(users.get(name, ()))
    best = _LOWEST
    while waiting:
        service = waiting.pop()
        if service not in seen:
            seen.add(service)
            best = min(best, documents.services[service].tier)
            waiting.extend(users.get(service, ()))
    if best < _LOWEST:
        return best
    return max((int(tier) for tier in documents.tiers), default=1)
