"""What a disaster takes along with what it strikes: copies, the state, keys, secrets, members, services. It claims
nothing of what no site is declared for."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope
from aegis_plan.documents.lint.words import listed
from aegis_plan.documents.secrets import references


def _site(scope: Scope, repository: str) -> str | None:
    declared = scope.documents.repositories.get(repository)
    return declared.site if declared is not None else None


@rule("copies-on-one-site", "warning", "all copies of a store lie at one site")
def copies_on_one_site(scope: Scope) -> Iterator[Wrong]:
    for name, _, backup in scope.backups():
        sites = {_site(scope, repository) for repository in backup.repositories}
        site = next(iter(sites), None)
        if len(sites) == 1 and site is not None:
            yield Wrong(
                ("stores", name, "backup", "repositories"),
                f"{name}: nothing but {listed(dict.fromkeys(backup.repositories))}, at {site}",
                "add a repository at another site",
            )


@rule("copies-lost-with-site", "breach", "a scenario takes a store and all of its copies")
def copies_lost_with_site(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        struck = scope.useless_sites(scenario)
        if not struck:
            continue
        for store in scope.affected(scenario):
            backup = scope.documents.stores[store].backup
            if (
                backup is not None
                and backup.repositories
                and struck.issuperset(_site(scope, repository) or "" for repository in backup.repositories)
            ):
                yield Wrong(
                    ("stores", store, "backup", "repositories"),
                    f"{store}: nothing but {listed(dict.fromkeys(backup.repositories))}, where '{name}' strikes "
                    f"({listed(sorted(struck))})",
                    "add a repository at a site that it leaves",
                )


@rule("repository-without-site", "note", "whether a copy survives is not known, since nothing says where it lies")
def repository_without_site(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        struck = set(scenario.affects.sites)
        if not struck or scenario.disruption in ("store", "logical"):
            continue
        hang: dict[str, list[str]] = {}
        for store in scope.affected(scenario):
            backup = scope.documents.stores[store].backup
            places = {one: _site(scope, one) for one in backup.repositories} if backup is not None else {}
            if struck.issuperset(site for site in places.values() if site is not None):
                for repository in (one for one, site in places.items() if site is None):
                    hang.setdefault(repository, []).append(store)
        for repository, stores in hang.items():
            yield Wrong(
                ("repositories", repository),
                f"'{name}' strikes {listed(sorted(struck))}, and whether a copy of {listed(stores)} is left then hangs "
                f"on {repository}, which has no site",
                "add 'site:' with the site that is lost together with it; where it is at none of them, accept this and "
                "say where it is",
                key=True,
            )


@rule("state-lost-with-site", "breach", "the state authority lies where the disaster strikes")
def state_lost_with_site(scope: Scope) -> Iterator[Wrong]:
    state = scope.documents.state
    site = _site(scope, state.authority) if state is not None else None
    if state is None or site is None:
        return
    names = [name for name, one in scope.documents.scenarios.items() if site in scope.lost_sites(one)]
    if names:
        yield Wrong(
            ("state", "authority"),
            f"'{state.authority}' is at {site}, which {listed(names)} take{'s' if len(names) == 1 else ''}: nobody "
            "could prove then that no other run is going on",
            "let a repository keep the state that survives every scenario",
        )


@rule("signers-lost-with-site", "breach", "no site that survives may sign what it backs up")
def signers_lost_with_site(scope: Scope) -> Iterator[Wrong]:
    sealing = scope.documents.sealing
    if sealing is None or not sealing.signers:
        return
    for name, scenario in scope.documents.scenarios.items():
        struck = scope.lost_sites(scenario)
        left = sorted(set(scope.documents.sites) - struck)
        if struck and left and struck.issuperset(sealing.signers):
            yield Wrong(
                ("sealing", "signers"),
                f"only {listed(sealing.signers)} may sign, and '{name}' takes {listed(sorted(struck))}; what "
                f"{listed(left, 'or')} backs up afterwards is believed by nobody",
                f"make a key with 'aegis keys new {left[0]}' and add its public half",
                key=True,
            )


@rule("host-keys-lost-with-site", "warning", "no host that survives can read what the next backup needs")
def host_keys_lost_with_site(scope: Scope) -> Iterator[Wrong]:
    sealing = scope.documents.sealing
    if sealing is None or not sealing.host_recipients:
        return
    for name, scenario in scope.documents.scenarios.items():
        struck = scope.lost_sites(scenario)
        left = sorted(set(scope.documents.sites) - struck)
        if struck and left and struck.issuperset(sealing.host_recipients):
            yield Wrong(
                ("sealing", "host_recipients"),
                f"only {listed(sealing.host_recipients)} can, and '{name}' takes {listed(sorted(struck))}",
                f"make a key with 'aegis keys new {left[0]}' and add its public half",
                key=True,
            )


@rule("secret-lost-with-site", "warning", "a secret lies in a file where the disaster strikes")
def secret_lost_with_site(scope: Scope) -> Iterator[Wrong]:
    documents = scope.documents
    here = {name for name, site in documents.sites.items() if site.reach == "local"}
    lost = [name for name, one in documents.scenarios.items() if here and here <= scope.lost_sites(one)]
    if not lost:
        return
    for pattern in (("repositories", "*", "*"), ("channels", "*", "url")):
        for path, node in scope.root.each(pattern):
            if path[0] == "repositories" and (documents.repositories[str(path[1])].site or "") in here:
                continue  # it goes with its secret
            for reference in references(node.value) if isinstance(node.value, str) and "$" in node.value else ():
                if reference.kind == "file":
                    yield Wrong(
                        path,
                        f"{reference.value} counts as lying at {listed(sorted(here))}, where these documents are used; "
                        f"{listed(lost)} take{'s' if len(lost) == 1 else ''} it",
                        "lay the file down at a site that survives too, and accept this; or take it from elsewhere",
                    )


@rule("acts-from-struck-site", "warning", "the host that would carry out the recovery is where the disaster strikes")
def acts_from_struck_site(scope: Scope) -> Iterator[Wrong]:
    sites = scope.documents.sites
    here = sorted(name for name, site in sites.items() if site.reach == "local")
    for name, scenario in scope.documents.scenarios.items():
        infected = scenario.disruption == "ransomware"
        struck = frozenset(scenario.affects.sites) if infected else scope.lost_sites(scenario)
        left = sorted(set(sites) - struck)
        if here and left and struck.issuperset(here):
            yield Wrong(
                ("sites", here[0]),
                f"plans are made and carried out at {listed(here)}, by 'reach: local', and '{name}' "
                f"{'infects' if infected else 'takes'} {listed(sorted(struck))}",
                f"act from {listed(left, 'or')}: 'reach: local' there, and 'reach: {{ssh: USER@HOST}}' for {here[0]}; "
                "or keep documents there too, and accept this",
                key=True,
            )


@rule("service-lost-with-site", "breach", "a service can run nowhere but where the disaster strikes")
def service_lost_with_site(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        struck = scope.lost_sites(scenario)
        left = sorted(set(scope.documents.sites) - struck)
        for service, declared in scope.documents.services.items() if struck and left else ():
            if declared.runs_at and struck.issuperset(declared.runs_at):
                yield Wrong(
                    ("services", service, "runs_at"),
                    f"{service} runs at {listed(declared.runs_at)}, and '{name}' takes {listed(sorted(struck))}",
                    f"let it run at {listed(left, 'or')} too",
                )


@rule("restore-to-lost-site", "breach", "a store would be restored to where the disaster strikes")
def restore_to_lost_site(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        for store, member in scenario.restore_to.items():
            site = scope.documents.stores[store].members[member].site
            if site in scope.lost_sites(scenario):
                yield Wrong(
                    ("scenarios", name, "restore_to", store),
                    f"{member} of {store} is at {site}, which '{name}' takes",
                    "name a member at a site that is left",
                )
