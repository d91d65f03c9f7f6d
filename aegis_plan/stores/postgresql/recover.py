"""Which chain a restore uses and whether it can work; what cannot is refused here, before anything is touched. Pure."""

from __future__ import annotations

from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.observe.snapshot import store_facts
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.stores.contract import Ask, Recipe, RecoveryPoint, Refusal, Target
from aegis_plan.stores.postgresql.chains import archive
from aegis_plan.stores.postgresql.check import server as declared_server
from aegis_plan.stores.postgresql.destination import (
    fate_without_room,
    in_the_way,
    member_to_restore,
    others,
    place_of,
    refuses,
)
from aegis_plan.stores.postgresql.facts import Seen, seen
from aegis_plan.stores.postgresql.leftover import log_from, take_up
from aegis_plan.stores.postgresql.points import reach
from aegis_plan.stores.postgresql.positions import parse
from aegis_plan.stores.postgresql.recipe import Recovery, log_bytes, write_recipe
from aegis_plan.stores.problem import problem

SPARE = 64 * 2**20
"""Bytes that a restore needs beyond data and log: the replay's own files and a first segment."""


def recover(ask: Ask, target: Target, *, member: str | None, beside: str | None) -> Recipe:
    """The steps of a restore, or a refusal; findings say what was noticed on the way."""
    findings: list[PlanFinding] = []
    choices: list[str] = []
    name = member_to_restore(ask, member, choices)
    if isinstance(name, PlanFinding):
        return Recipe(findings=(name,))
    look = ask.look.member(name)
    here = seen(look) if look is not None else None
    place = place_of(ask, name, here, beside)
    if isinstance(place, PlanFinding):
        return Recipe(findings=(place,))
    server = declared_server(ask.store, name)
    assert server is not None, "a place was found by it"
    without = tuple(
        repository
        for repository, declared in ask.documents.repositories.items()
        if declared.site is not None and declared.site in ask.sites_down
    )
    if target.selection:
        whole = problem(
            ask,
            "error",
            "selection-impossible",
            "this kind of store is restored whole",
            f"{ask.name}: {', '.join(target.selection)} cannot be taken out of a physical backup",
            f"restore {ask.name} --beside a folder, start that server, and copy the part over with pg_dump",
        )
        return Recipe(findings=(whole,))
    lineages = archive(ask.look.shelf, without)
    tail_from = log_from(here, target) if beside is None else None
    logged = ask.store.backup is None or ask.store.backup.log is not None
    found = reach(lineages, ask.look.shelf, target, tail_from=tail_from, logged=logged, without=without)
    if isinstance(found, Refusal):
        return Recipe(refusal=found, findings=(_refused(ask, found),), choices=tuple(choices))
    choices.extend(found.choices)
    one, tail = lineages[found.point.lineage], None
    if beside is None:
        found, taken = take_up(ask, here, one, found, target, findings)
        tail = str(taken) if taken is not None else None
    if found.own:
        target = Target()
    point = found.point
    major = int(point.lineage.rsplit("-", 1)[-1])
    if beside is not None and here is not None and str(major) in here.look.other_binaries:
        place = place.model_copy(update={"binaries": server.other_binaries[str(major)]})
        choices.append(f"{ask.name}: uses the programs of PostgreSQL {major} in {place.binaries}")
    elif here is not None and here.look.binaries_version is not None and here.look.binaries_version // 10_000 != major:
        findings.append(
            problem(
                ask,
                "error",
                "binaries-differ",
                "the programs on the host are of another major version",
                f"the backup is of PostgreSQL {major}; {server.binaries} on {name} holds "
                f"{here.look.binaries_version // 10_000}",
                f"install PostgreSQL {major} there and name its folder in members.{name}.server.other_binaries, then "
                "restore --beside a folder; or make it the server's own binaries",
            )
        )
    need = _need(point)
    replayed = log_bytes(point)
    more = replayed + 2 * _tail_bytes(here, tail)
    fate = fate_without_room(ask, name, here, need, more, beside, server)
    if isinstance(fate, PlanFinding):
        findings.append(fate)
        fate = None
    elif fate == "no":
        findings.append(_given_up(ask, name, server.data_directory, target))
    elif fate is not None:
        choices.append(f"{ask.name}: there is no room for both, so the old data is moved to {fate} first")
    elif ask.give_up_old and beside is None:
        choices.append(f"{ask.name}: there is room for both, so the old data is not given up")
    if beside is None:
        findings.extend(others(ask, name))
        findings.extend(in_the_way(ask, name, here))
    else:
        findings.extend(refuses(ask, here, beside, need))
    findings.extend(_shelf(ask, without))
    draft = Recovery(
        ask, name, server, here, place, found, target, tail, need, store_facts(ask.look), fate, need + replayed
    )
    serves = write_recipe(draft, beside is not None)
    sets = point.sets
    what = "set " + sets[0].set + (f" with {_counted(len(sets) - 1, 'incremental')}" if len(sets) > 1 else "")
    log = [record for record in point.log if not record.details.get("history")]
    choices.append(
        f"{ask.name}: uses {what}"
        + (f" and {_counted(len(log), 'range')} of log" if log else " without log")
        + f", to {point.position}"
    )
    if target.time is None and target.position is None and len(one.paths) > 1:
        choices.append(f"{ask.name}: follows timeline {found.timeline}, the youngest")
    if tail is not None:
        choices.append(f"{ask.name}: the old data directory can be read, so log that was not archived is taken from it")
        if here is not None and here.look.timeline is not None and here.look.timeline > found.timeline:
            choices.append(f"{ask.name}: follows timeline {here.look.timeline}, on which the old data directory is")
    return Recipe(
        steps=tuple(draft.steps),
        findings=tuple(findings),
        choices=tuple(choices),
        point=_extended(point, tail, ask),
        serves=serves,
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _extended(point: RecoveryPoint, tail: str | None, ask: Ask) -> RecoveryPoint:
    """With the old server's own log nothing that it acknowledged is lost: the point is at least its last moment."""
    if tail is None:
        return point
    return RecoveryPoint(
        lineage=point.lineage,
        position=point.position,
        not_before=point.not_before,
        not_after=max(point.not_after, ask.now),
        consistency=point.consistency,
        sets=point.sets,
        log=point.log,
        repositories=point.repositories,
    )


def _refused(ask: Ask, refusal: Refusal) -> PlanFinding:
    return problem(ask, "error", refusal.code, refusal.summary, f"{ask.name}: {refusal.detail}", refusal.hint)


def _need(point: RecoveryPoint) -> int:
    """Bytes that staging takes at most: every set and the log unpacked."""
    stored: list[SetRecord | LogRecord] = [*point.sets, *point.log]
    return sum(part.plain_size for record in stored for part in record.objects) + SPARE


def _tail_bytes(here: Seen | None, tail: str | None) -> int:
    if here is None or tail is None or here.look.log_readable_to is None:
        return 0
    return max(0, parse(here.look.log_readable_to).lsn - parse(tail).lsn)


def _given_up(ask: Ask, name: str, directory: str, target: Target) -> PlanFinding:
    left = "" if target.time is None and target.position is None else "; what was written after the target goes with it"
    return problem(
        ask,
        "warning",
        "old-data-given-up",
        "the old data is removed before the restored data is there",
        f"{directory} on {name} goes for good, and nothing can be put back from there on{left}",
        f"save it elsewhere before you approve {ask.name}.clear; keep_old_data: /PATH on another disk moves it instead",
    )


def _shelf(ask: Ask, without: tuple[str, ...]) -> list[PlanFinding]:
    found = []
    for holding in ask.look.shelf.holdings:
        if not holding.reachable and holding.repository not in without:
            found.append(
                problem(
                    ask,
                    "warning",
                    "repository-unreachable",
                    "a repository cannot be reached",
                    f"{holding.repository}: {holding.reason}",
                    "what it alone holds is missing from this plan",
                )
            )
        if holding.damage:
            first = holding.damage[0]
            more = f" and {len(holding.damage) - 1} more" if len(holding.damage) > 1 else ""
            found.append(
                problem(
                    ask,
                    "warning",
                    "copy-damaged",
                    "something in a repository is not as its record says",
                    f"{holding.repository}: {first.kind.replace('-', ' ')}: {first.key}: {first.detail}{more}",
                    "other copies are used",
                )
            )
    return found
