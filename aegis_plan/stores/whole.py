"""Stores that are backed up whole, without chains and log: what is due, to which moments they can go back, what would
be lost. Pure; the words of an engine are in its `spec.py` and `recipe.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aegis_plan.catalog.due import ahead, due_since
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.living import living
from aegis_plan.catalog.record import SetRecord
from aegis_plan.documents.scalars import span
from aegis_plan.observe.snapshot import store_facts
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Estimate, Fact, Step, measured, new_step
from aegis_plan.stores.contract import Ask, Exposure, Recipe, RecoveryPoint, Target, Window
from aegis_plan.stores.problem import problem
from aegis_plan.stores.specs import spec


@dataclass
class Draft:
    """Steps of one store in the making. None of them is built while nothing acts for its engine."""

    ask: Ask
    member: str
    beside: bool = False
    """Whether it touches no server, and so needs neither its lock nor a lease."""
    steps: list[Step] = field(default_factory=list)

    def add(self, action: str, name: str, title: str, reason: str, **fields: Any) -> str:
        """Appends a step after the one before it, and gives its id."""
        ask = self.ask
        used = ask.store.backup.repositories if ask.store.backup is not None else ()
        known: dict[str, Any] = {
            "id": f"{ask.name}.{name}",
            "title": title,
            "reason": reason,
            "site": ask.store.members[self.member].site,
            "tier": ask.tier,
            "phase": "data",
            "subject": ask.name,
            "resource": f"{ask.name}/beside" if self.beside else f"{ask.name}/data",
            "lease": "" if self.beside else f"{ask.name}/data",
            "declared": (f"stores/{ask.name}", *(f"repositories/{name}" for name in used), "sites/*"),
            "needs": (self.steps[-1].id,) if self.steps else (),
            "estimate": estimate(ask, action),
            "built": spec(ask.store.engine).built,
        }
        given = {"params": {"store": ask.name, "member": self.member, **fields.pop("params", {})}}
        self.steps.append(new_step(action, **{**known, **given, **fields}))
        return self.steps[-1].id

    def fact(self, name: str, **more: Any) -> Fact:
        """A fact of the store as it is now, by the end of its name: `lineage`, `<member>/state`."""
        return Fact(
            name=f"{self.ask.name}/{name}", value=store_facts(self.ask.look).get(f"{self.ask.name}/{name}"), **more
        )


def back_up(draft: Draft, title: str, reason: str, lineage: Any, **fields: Any) -> str:
    """A full backup of the draft's member; `lineage` is its history, or the step's output that tells it."""
    known: dict[str, Any] = {"phase": "protect", "changes": (f"{draft.ask.name}/newest-set",)}
    if isinstance(lineage, str):
        known["facts"] = (draft.fact(f"{draft.member}/lineage"),)
    params = {"method": "full", "lineage": lineage}
    return draft.add("backup", "backup", title, reason, params=params, **{**known, **fields})


def unreachable(ask: Ask, member: str) -> PlanFinding:
    """The server that is to be read does not answer."""
    seen = ask.look.member(member)
    saw = f"{member} is {seen.state}: {seen.reason}" if seen is not None else f"{member} was not looked at"
    return problem(
        ask,
        "error",
        "member-unreachable",
        "the server to back up cannot be reached",
        f"{ask.name}: {saw}",
        "check its connection and whether it runs; where it is lost, plan a recovery with 'aegis plan --scenario NAME'",
    )


def no_place(ask: Ask) -> Recipe:
    """No member is left that could take a restore."""
    lost = problem(
        ask,
        "error",
        "no-place",
        "no server is left to take the restore",
        f"every member of {ask.name} that may take it is at a site that is down",
        "declare a member at another site",
    )
    return Recipe(findings=(lost,))


def estimate(ask: Ask, action: str) -> Estimate:
    """From earlier runs, else as the documents say."""
    past = ask.durations(action, ask.name)
    if past is not None:
        return measured(past, past.bytes)
    full = ask.store.backup.full if ask.store.backup is not None else None
    if action == "backup" and full is not None and full.estimate is not None:
        return Estimate(seconds=full.estimate.total_seconds(), basis="declared")
    return Estimate()


def undeclared(ask: Ask, severity: str) -> Recipe:
    """A store that declares no backup."""
    return Recipe(
        findings=(
            problem(
                ask,
                severity,
                "store-not-backed-up",
                "a store has no backup",
                f"{ask.name} declares none",
                "add 'backup:' to the store; it says which repositories take the set",
            ),
        )
    )


def held_sets(shelf: Shelf, without: Sequence[str] = ()) -> list[SetRecord]:
    """Sets that some repository holds whole, the newest last."""
    alive = living(shelf, without)
    return sorted((record for record in alive.sets if alive.held(record.id)), key=lambda one: (one.not_after, one.id))


def member_to_read(ask: Ask) -> str:
    """The member that is backed up: the one that was named, the primary as seen, the preferred, else the first."""
    backup, primary = ask.store.backup, ask.look.primary
    named = backup.from_member if backup is not None else None
    seen = primary.member if primary is not None else None
    return named or seen or ask.store.preferred or next(iter(ask.store.members))


def member_to_restore(ask: Ask, wanted: str | None) -> str | None:
    """The member that takes restored data; None where none is left."""
    left = [name for name, member in ask.store.members.items() if member.site not in ask.sites_down]
    for name in (wanted, ask.store.preferred):
        if name in left:
            return name
    return left[0] if left and wanted is None else None


def full_due(ask: Ask) -> str:
    """Why a full is needed now, or nothing."""
    sets = held_sets(ask.look.shelf)
    if not sets:
        return "there is no backup yet" if _all_seen(ask) else "no backup is seen"
    full = ask.store.backup.full if ask.store.backup is not None else None
    if full is None or full.schedule is None:
        return ""
    begun = [one.begun for one in sets if not ahead(one.begun, ask.now)]
    if not begun:
        return "each backup is dated later than now: a clock was ahead"
    newest = max(begun)
    since = due_since(full.schedule, ask.documents.system.timezone, newest, ask.now)
    return f"due for {span((ask.now - since).total_seconds())}" if since is not None else ""


def point_for(ask: Ask, target: Target) -> tuple[RecoveryPoint | None, PlanFinding | None]:
    """The newest set that is not younger than the target, or why there is none."""
    without = tuple(
        name
        for name, declared in ask.documents.repositories.items()
        if declared.site is not None and declared.site in ask.sites_down
    )
    sets = held_sets(ask.look.shelf, without)
    fitting = [one for one in sets if target.time is None or one.not_after <= target.time]
    if target.position is not None or not fitting:
        seen = _all_seen(ask)
        oldest = f"; the oldest that can be reached is of {sets[0].not_after.isoformat()}" if sets else ""
        return None, problem(
            ask,
            "error",
            "no-set-fits",
            "no backup set fits what is asked" if seen else "no backup set that fits is seen",
            f"{ask.name}: "
            + ("it has no log, and goes back to its sets only" if target.position is not None else "there is no set")
            + (" from before that time" if target.time is not None else "")
            + oldest
            + ("" if seen else "; a repository cannot be reached, and what it holds is unknown"),
            "see 'aegis catalog' for the sets there are",
        )
    # Where there are others, one that a clock dated later than now is not the newest.
    one = ([one for one in fitting if not ahead(one.not_after, ask.now)] or fitting)[-1]
    holders = living(ask.look.shelf, without).holders.get(one.id, ())
    return (
        RecoveryPoint(one.lineage, one.end, one.not_before, one.not_after, one.consistency, (one,), (), holders),
        None,
    )


def windows(shelf: Shelf) -> tuple[Window, ...]:
    """Each set is a moment of its own."""
    return tuple(Window(one.not_after, one.not_after, one.lineage, one.end) for one in held_sets(shelf))


def exposure(ask: Ask) -> Exposure:
    """The time since the newest set began."""
    held = held_sets(ask.look.shelf)
    sets = [one for one in held if not ahead(one.begun, ask.now)]
    if held and not sets:
        return Exposure(None, "each backup is dated later than now: a clock was ahead")
    if sets:
        return Exposure((ask.now - sets[-1].begun).total_seconds(), "since the newest set began; it has no log")
    if _all_seen(ask):
        return Exposure(None, "no backup: everything would be lost")
    return Exposure(None, "no backup is seen, and not every repository could be reached")


def _all_seen(ask: Ask) -> bool:
    return bool(ask.look.shelf.holdings) and all(holding.reachable for holding in ask.look.shelf.holdings)
