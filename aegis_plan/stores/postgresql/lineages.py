"""What is said of a store whose server began another history: by a major upgrade, or as a new cluster. Pure.

The first full of the new one is planned by whoever sees that no set is of it; that the old sets stay until the new
history is proved is the rule of retention.
"""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.plan.plan import PlanFinding
from aegis_plan.stores.contract import Ask
from aegis_plan.stores.postgresql.chains import LineageArchive
from aegis_plan.stores.postgresql.draft import Draft
from aegis_plan.stores.postgresql.facts import Seen, seen
from aegis_plan.stores.postgresql.points import exact
from aegis_plan.stores.problem import problem


def major(lineage: str) -> str:
    """The major version in the name of a lineage."""
    return lineage.rpartition("-")[2]


def told(draft: Draft, server: Seen) -> Iterator[PlanFinding]:
    """That the server left what was backed up, and that what was backed up can be restored nowhere."""
    ask, own = draft.ask, server.lineage or ""
    held = {name: one for name, one in draft.lineages.items() if one.reaches}
    if held and own and own not in draft.lineages:
        yield _left(ask, own, held)
    for version in sorted({major(name) for name in held} - {major(own)}):
        yield from _nowhere(ask, version)


def _left(ask: Ask, own: str, held: dict[str, LineageArchive]) -> PlanFinding:
    old = max(held.values(), key=lambda one: one.reaches[-1].end)
    end = max(found.end for found in old.reaches)
    what = (
        f"PostgreSQL {major(own)}, and what was backed up is of PostgreSQL {major(old.lineage)}"
        if major(own) != major(old.lineage)
        else "another cluster than the one that was backed up"
    )
    return problem(
        ask,
        "warning",
        "new-history",
        "the server began a new history",
        f"{ask.name}: it is {what}; of the old one everything to {exact(end)} is archived, and what it wrote behind "
        "that is in no backup",
        "the plan takes a full of the new one at once, and the old sets stay until that was proved; 'aegis help "
        "postgresql' says how an upgrade loses nothing",
    )


def _nowhere(ask: Ask, version: str) -> Iterator[PlanFinding]:
    looks = [seen(member).look for member in ask.look.members]
    known = [look for look in looks if look.binaries_version is not None]
    if not known or any(
        str((look.binaries_version or 0) // 10_000) == version or version in look.other_binaries for look in known
    ):
        return
    yield problem(
        ask,
        "warning",
        "old-binaries-missing",
        "sets of an older major version can be restored nowhere",
        f"{ask.name}: no host of a member has the programs of PostgreSQL {version}",
        f"install PostgreSQL {version} on one of them and name its folder in `server.other_binaries`, as long as the "
        "old sets are kept",
    )
