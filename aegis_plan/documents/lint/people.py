"""The people of a response: roles without anybody, names of no role, one person for everything, deputies in a circle,
nobody who leads, nobody who is told. It asks nobody whether they can be reached."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope
from aegis_plan.documents.lint.words import listed
from aegis_plan.documents.nearest import Nearest
from aegis_plan.documents.tree import Path


@rule("role-without-people", "warning", "nobody holds this role")
def role_without_people(scope: Scope) -> Iterator[Wrong]:
    for name, role in scope.documents.team.items():
        if not any(person.strip() for person in role.people):
            yield Wrong(
                ("team", name),
                f"there is no person to call as '{name}'",
                "add 'people:', the first to be called first",
                key=True,
            )


@rule("role-without-channels", "warning", "this role cannot be called out")
def role_without_channels(scope: Scope) -> Iterator[Wrong]:
    for name, role in scope.documents.team.items():
        if not role.channels:
            yield Wrong(
                ("team", name),
                f"nothing says where '{name}' is called out",
                "add 'channels:' with names of the section 'channels'",
                key=True,
            )


def _approvals(scope: Scope) -> Iterator[tuple[Path, str]]:
    for path, node in scope.root.each(("scenarios", "*", "steps", "*", "*", "approve")):
        if isinstance(node.value, str) and node.value:
            yield path, node.value


@rule("role-undeclared", "warning", "a role that the team does not have")
def role_undeclared(scope: Scope) -> Iterator[Wrong]:
    team = scope.documents.team
    if not team:
        return
    near = Nearest()
    roles = tuple(sorted(team))
    for path, name in _approvals(scope):
        if name not in team:
            yield Wrong(path, f"no role of the team is called '{name}'", near.hint(name, roles))
    people = {person for role in team.values() for person in role.people}
    for service, declared in scope.documents.services.items():
        owner = declared.owner
        if not owner or owner in team or owner in people:
            continue
        # An owner may be a name as well; one that is nearly a role must have been meant as that.
        hint = near.hint(owner, roles)
        if hint.startswith("did you mean"):
            yield Wrong(("services", service, "owner"), f"no role of the team is called '{owner}'", hint)


@rule("approver-alone", "warning", "everything waits for one person")
def approver_alone(scope: Scope) -> Iterator[Wrong]:
    team = scope.documents.team
    asked: dict[str, Path] = {}
    for path, name in _approvals(scope):
        asked.setdefault(name, path)
    for name, scenario in scope.documents.scenarios.items():
        if scenario.commander is not None:
            asked.setdefault(scenario.commander, ("scenarios", name, "commander"))
    roles = set(asked)
    for name in asked:  # a deputy answers too
        deputy = team[name].deputy if name in team else None
        roles |= {deputy} if deputy is not None else set()
    if not asked or not roles <= set(team):
        return
    people = {person for role in roles for person in team[role].people}
    if len(people) == 1:
        first = min(asked)
        yield Wrong(
            ("team", first, "people"),
            f"{next(iter(people))} alone decides and approves as {listed(sorted(roles))}; where that person cannot be "
            "reached, nothing goes on",
            "name a second person, or a deputy who is somebody else",
        )


@rule("deputy-circle", "note", "deputies stand in for each other in a circle")
def deputy_circle(scope: Scope) -> Iterator[Wrong]:
    team = scope.documents.team
    done: set[str] = set()
    for start in team:
        trail: list[str] = []
        name: str | None = start
        while name is not None and name not in done and name not in trail:
            trail.append(name)
            name = team[name].deputy if name in team else None
        if name is not None and name in trail:
            circle = trail[trail.index(name) :]
            yield Wrong(
                ("team", circle[-1], "deputy"),
                f"{' -> '.join([*circle, name])}: when all of them are away, nobody outside stands in",
                "let the last of them name nobody, or somebody outside",
            )
        done.update(trail)


@rule("scenario-without-commander", "warning", "nobody leads this scenario")
def scenario_without_commander(scope: Scope) -> Iterator[Wrong]:
    if len(scope.documents.team) < 2:
        return  # with one role there is nothing to find out
    for name, scenario in scope.documents.scenarios.items():
        if scenario.commander is None:
            yield Wrong(
                ("scenarios", name),
                f"the team has {len(scope.documents.team)} roles, and nothing says which of them decides in '{name}'",
                "add 'commander:' with a role of the team",
                key=True,
            )


def _tells(scope: Scope, *events: str) -> bool:
    return any(event in channel.tells for channel in scope.documents.channels.values() for event in events)


@rule("incident-told-nowhere", "warning", "no channel tells of an incident")
def incident_told_nowhere(scope: Scope) -> Iterator[Wrong]:
    documents = scope.documents
    if documents.channels and documents.scenarios and not _tells(scope, "incident", "call-out"):
        yield Wrong(
            ("channels",),
            "none has 'incident' or 'call-out' below 'tells': unless a monitor calls people, customers tell of it",
            "add 'tells: [incident, call-out]' to a channel that people hear at night",
            key=True,
        )


@rule("failure-told-nowhere", "warning", "no channel tells that a backup failed")
def failure_told_nowhere(scope: Scope) -> Iterator[Wrong]:
    told = _tells(scope, "backup-failed") or scope.documents.schedule.notify
    if scope.documents.channels and any(True for _ in scope.backups()) and not told:
        yield Wrong(
            ("channels",),
            "none has 'backup-failed' below 'tells': it is found out on the day when the backup is needed",
            "add 'tells: [backup-failed]' to a channel that somebody reads, or name it in 'schedule.notify'",
            key=True,
        )
