"""Every name that documents use has to be declared: a table of where names are used, and what they may name. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.documents.nearest import Nearest
from aegis_plan.documents.tree import Node, Path, dotted
from aegis_plan.errors import AegisError

_USES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("state/authority", ("repositories",)),
    ("state/mirrors/[]", ("repositories",)),
    ("services/*/tier", ("tiers",)),
    ("services/*/uses/[]", ("services", "stores")),
    ("services/*/runs_at/[]", ("sites",)),
    ("stores/*/members/*/site", ("sites",)),
    ("stores/*/backup/repositories/[]", ("repositories",)),
    ("repositories/*/site", ("sites",)),
    ("scenarios/*/affects/sites/[]", ("sites",)),
    ("scenarios/*/affects/stores/[]", ("stores",)),
    ("scenarios/*/affects/services/[]", ("services",)),
    ("scenarios/*/steps/*/*/site", ("sites",)),
    ("scenarios/*/steps/*/*/by", ("team",)),
    ("scenarios/*/commander", ("team",)),
    ("schedule/notify/[]", ("channels",)),
    ("team/*/channels/[]", ("channels",)),
    ("team/*/deputy", ("team",)),
    ("drills/*/scenario", ("scenarios",)),
    ("drills/*/stores/[]", ("stores",)),
    ("drills/*/site", ("sites",)),
    ("drills/*/owner", ("team",)),
    ("monitors/*/watches/[]", ("sites", "stores", "services")),
    ("monitors/*/critical/tell/[]", ("channels",)),
    ("monitors/*/high/tell/[]", ("channels",)),
    ("monitors/*/critical/call_out/[]", ("team",)),
    ("monitors/*/high/call_out/[]", ("team",)),
    ("monitors/*/critical/recover", ("scenarios",)),
    ("monitors/*/high/recover", ("scenarios",)),
)
_KEYS = (("sealing/signers", "sites"), ("sealing/host_recipients", "sites"))
_NOUN = {
    "repositories": "repository",
    "services": "service",
    "stores": "store",
    "sites": "site",
    "tiers": "tier",
    "team": "role of the team",
    "channels": "channel",
    "scenarios": "scenario",
}


def problems(root: Node, near: Nearest) -> Iterator[AegisError]:
    """An error for each name that nothing declares."""
    for pattern, sections in _USES:
        known = {name for section in sections for name in _names(root, section)}
        ordered = tuple(sorted(known))
        noun = " or ".join(_NOUN[section] for section in sections)
        for path, node in root.each(pattern.split("/")):
            if isinstance(node.value, str) and node.value not in known and not _no_tier(pattern, node.value):
                yield _unknown(noun, node.value, path, ordered, root, near)
    for pattern, section in _KEYS:
        known = _names(root, section)
        ordered = tuple(sorted(known))
        for path, node in root.each(pattern.split("/")):
            for name in node.value if isinstance(node.value, dict) else ():
                if name not in known:
                    yield _unknown(_NOUN[section], name, (*path, name), ordered, root, near, key=True)
    yield from _members(root, near)
    yield from _destinations(root, near)
    yield from _needs(root, near)
    yield from _former(root)
    for name in sorted(_names(root, "services") & _names(root, "stores")):
        first = root.place(("stores", name), key=True)
        yield AegisError(
            "name-ambiguous",
            "a service and a store bear the same name",
            f"'{name}' is also the store at {first}",
            "give one of them another name; a store that was backed up keeps its old name below 'formerly'",
            root.place(("services", name), key=True),
        )


def _names(root: Node, section: str) -> set[str]:
    node = root.child(section)
    return set(node.value) if node is not None and isinstance(node.value, dict) else set()


def _no_tier(pattern: str, value: str) -> bool:
    # What is no number is told by the model already.
    return pattern == "services/*/tier" and not value.isdecimal()


def _unknown(
    noun: str, name: str, path: Path, known: tuple[str, ...], root: Node, near: Nearest, *, key: bool = False
) -> AegisError:
    shown = name if len(name) <= 80 else f"{name[:80]}..."
    return AegisError(
        "name-unknown",
        "a name that nothing declares",
        f"{dotted(path if not key else path[:-1])}: no {noun} is called '{shown}'",
        near.hint(name, known),
        root.place(path, key=key),
    )


def _members(root: Node, near: Nearest) -> Iterator[AegisError]:
    for pattern in ("stores/*/preferred", "stores/*/backup/from_member"):
        for path, node in root.each(pattern.split("/")):
            members = root.at((*path[:2], "members"))
            known = set(members.value) if members is not None and isinstance(members.value, dict) else set()
            if isinstance(node.value, str) and node.value not in known:
                yield _unknown("member", node.value, path, tuple(sorted(known)), root, near)


def _destinations(root: Node, near: Nearest) -> Iterator[AegisError]:
    """`restore_to` maps stores to members of theirs."""
    stores = tuple(sorted(_names(root, "stores")))
    for path, node in root.each(("scenarios", "*", "restore_to", "*")):
        store = str(path[-1])
        if store not in stores:
            yield _unknown("store", store, path, stores, root, near, key=True)
            continue
        members = root.at(("stores", store, "members"))
        known = set(members.value) if members is not None and isinstance(members.value, dict) else set()
        if isinstance(node.value, str) and node.value not in known:
            yield _unknown(f"member of {store}", node.value, path, tuple(sorted(known)), root, near)


def _former(root: Node) -> Iterator[AegisError]:
    """A name that something had before belongs to one thing only."""
    for section in ("stores", "services", "sites"):
        present = _names(root, section)
        known: dict[str, Path] = {}
        for path, node in root.each((section, "*", "formerly", "[]")):
            if not isinstance(node.value, str):
                continue
            first = (section, node.value) if node.value in present else known.get(node.value)
            if first is not None:
                yield AegisError(
                    "name-duplicate",
                    "a name is declared twice",
                    f"'{node.value}' stands first at {root.place(first, key=len(first) == 2)}",
                    "a former name belongs to one thing only, and to nothing that bears it now",
                    root.place(path),
                )
            known.setdefault(node.value, path)


def _needs(root: Node, near: Nearest) -> Iterator[AegisError]:
    """Own steps wait for own steps of the same scenario, for services, or for stores."""
    elsewhere = _names(root, "services") | _names(root, "stores")
    for scenario, steps in root.each(("scenarios", "*", "steps")):
        own: dict[str, Path] = {}
        for path, _step in steps.each(("*", "*"), scenario):
            name = str(path[-1])
            if name in own:
                yield AegisError(
                    "name-duplicate",
                    "a name is declared twice",
                    f"the step '{name}' stands first at {root.place(own[name], key=True)}",
                    "give one of them another name",
                    root.place(path, key=True),
                )
            own.setdefault(name, path)
        known = set(own) | elsewhere
        ordered = tuple(sorted(known))
        for path, node in steps.each(("*", "*", "needs", "[]"), scenario):
            if isinstance(node.value, str) and node.value not in known:
                yield _unknown("step of this scenario, service or store", node.value, path, ordered, root, near)
