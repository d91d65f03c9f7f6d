"""How long backups are kept, against what has to be reached: chains, drills, infections that are found late, and the
time that a decision takes. What declares no `retain` is kept for good."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope, keeps_log, set_schedules
from aegis_plan.documents.lint.words import say
from aegis_plan.documents.model import Backup, Scenario, Store
from aegis_plan.documents.tree import Path


def _sets(store: Store, backup: Backup) -> dict[str, timedelta | None]:
    """How long each kind of whole recovery point is kept; None for good."""
    return {name: getattr(backup, name).retain for name in set_schedules(store)}


def _oldest(store: Store, backup: Backup) -> tuple[str, timedelta] | None:
    """The kind that decides how far whole recovery points reach back; None where they are kept for good.

    The oldest one is always a full backup: an incremental is younger than the full that it needs."""
    kept = _sets(store, backup)
    kind = "full" if "full" in kept else "incremental"
    span = kept.get(kind)
    return (kind, span) if span is not None else None


@rule("incremental-outlives-full", "warning", "an incremental backup is kept longer than the full one it needs")
def incremental_outlives_full(scope: Scope) -> Iterator[Wrong]:
    for name, store, backup in scope.backups():
        schedules, kept = set_schedules(store), _sets(store, backup)
        full, incremental = kept.get("full"), kept.get("incremental")
        if "incremental" not in kept or full is None:
            continue
        chain, gap = scope.gap(schedules["full"]), scope.gap(*schedules.values())
        if chain is None or gap is None:
            continue
        # At the end of the longest chain an incremental is never further from the next full than this.
        after = chain.span - gap.span
        if after <= timedelta() or (incremental is not None and after + incremental <= full):
            continue
        if incremental is None:
            said = f"{name}: incrementals have no 'retain' and are kept for good; the full is kept {say(full)}"
        else:
            said = (
                f"{name}: the last incremental of a chain is made {say(after)} or more after its full: {say(after)} + "
                f"{say(incremental)} = {say(after + incremental)}; the full is kept {say(full)}"
            )
        yield Wrong(
            ("stores", name, "backup", "incremental", *(("retain",) if incremental is not None else ())),
            said,
            "without its full an incremental is worth nothing: keep fulls longer, or incrementals shorter",
            key=incremental is None,
        )


@rule("full-gone-before-next", "breach", "a full backup is gone before the next one is made")
def full_gone_before_next(scope: Scope) -> Iterator[Wrong]:
    for name, store, backup in scope.backups():
        kept = backup.full.retain if backup.full is not None else None
        schedule = set_schedules(store).get("full")
        gap = scope.gap(schedule) if schedule is not None else None
        if kept is not None and gap is not None and kept < gap.span:
            yield Wrong(
                ("stores", name, "backup", "full", "retain"),
                f"{name}: a full is kept {say(kept)}, and the next comes up to {say(gap.span)} after it: for "
                f"{say(gap.span)} - {say(kept)} = {say(gap.span - kept)} there is no backup to begin a restore with",
                f"keep fulls longer than {say(gap.span)}; twice that leaves one when the newest turns out to be bad",
            )


@rule("log-shorter-than-interval", "breach", "the log is kept shorter than the time to the newest backup it needs")
def log_shorter_than_interval(scope: Scope) -> Iterator[Wrong]:
    for name, store, backup in scope.backups():
        kept = backup.log.retain if backup.log is not None else None
        schedules = set_schedules(store)
        if kept is None or not keeps_log(store) or not schedules:
            continue
        gap = scope.gap(*schedules.values())
        if gap is not None and kept < gap.span:
            yield Wrong(
                ("stores", name, "backup", "log", "retain"),
                f"{name}: backups are up to {say(gap.span)} apart, and the log from right after one is gone after "
                f"{say(kept)}; what remains of it leads on from no backup",
                f"keep the log at least {say(gap.span)}, or back up more often",
            )


@rule("log-shorter-than-backups", "warning", "backups are kept longer than the log that leads on from them")
def log_shorter_than_backups(scope: Scope) -> Iterator[Wrong]:
    for name, store, backup in scope.backups():
        log = backup.log.retain if backup.log is not None else None
        kept = {kind: span for kind, span in _sets(store, backup).items() if span is not None}
        if log is None or not keeps_log(store) or not kept:
            continue
        kind = max(kept, key=lambda one: kept[one])
        if log < kept[kind]:
            yield Wrong(
                ("stores", name, "backup", "log", "retain"),
                f"{name}: the log is kept {say(log)}, the {kind} backups {say(kept[kind])}; a backup older than "
                f"{say(log)} gives back its own moment only",
                f"keep the log {say(kept[kind])} too where any moment has to be reached, or accept it",
            )


@rule("retention-shorter-than-drill", "warning", "backups are gone before the next drill could try them")
def retention_shorter_than_drill(scope: Scope) -> Iterator[Wrong]:
    drills: dict[str, dict[str, timedelta]] = {}
    for drill, declared in scope.documents.drills.items():
        gap = scope.gap(declared.schedule) if declared.kind != "failover" else None
        if gap is None:
            continue
        scenario = scope.documents.scenarios.get(declared.scenario or "")
        affected = scope.affected(scenario) if scenario is not None else list(scope.documents.stores)
        for used in declared.stores or affected:
            drills.setdefault(used, {})[drill] = gap.span
    for name, store, backup in scope.backups():
        oldest, tried = _oldest(store, backup), drills.get(name)
        if oldest is None or not tried:
            continue
        (kind, kept), drill = oldest, min(tried, key=lambda one: tried[one])
        if kept < tried[drill]:
            yield Wrong(
                ("stores", name, "backup", kind, "retain"),
                f"{name}: the longest are kept {say(kept)}, and '{drill}', the most frequent drill that restores "
                f"them, comes up to {say(tried[drill])} apart; most backups are never tried",
                "drill more often, or keep backups longer",
            )


@rule("dwell-exceeds-reach", "breach", "backups do not reach back to before an infection found late")
def dwell_exceeds_reach(scope: Scope) -> Iterator[Wrong]:
    for cause, scenario, name in _late(scope):
        store = scope.documents.stores[name]
        backup = store.backup
        if backup is None or scenario.dwell is None:
            continue
        oldest = _oldest(store, backup)
        gap = scope.gap(set_schedules(store)[oldest[0]]) if oldest is not None else None
        if oldest is None or gap is None:
            continue
        kind, kept = oldest
        sure = max(timedelta(), kept - gap.span)
        if sure < scenario.dwell:
            yield Wrong(
                ("stores", name, "backup", kind, "retain"),
                f"{name}: the oldest {kind} backup is certain to be {say(kept)} - {say(gap.span)} = {say(sure)} "
                f"old, against {say(scenario.dwell)} in which it may go unseen (scenarios.{cause}.dwell)",
                f"keep them at least {say(scenario.dwell + gap.span)}, or find it sooner",
            )


@rule("log-shorter-than-dwell", "breach", "the log is kept shorter than an infection may go unseen")
def log_shorter_than_dwell(scope: Scope) -> Iterator[Wrong]:
    for name, scenario, store in _late(scope):
        log = _log(scope, store)
        target = scope.scenario_target(scenario, name, "rpo")
        if log is None or scenario.dwell is None or target is None or log >= scenario.dwell:
            continue
        yield Wrong(
            ("stores", store, "backup", "log", "retain"),
            f"{store}: log kept {say(log)} against an infection found later, up to {say(scenario.dwell)} "
            f"(scenarios.{name}.dwell): a moment before that is reached by whole backups only, not to within "
            f"{say(target.span)} ({target.place})",
            f"keep the log {say(scenario.dwell)} too",
        )


@rule("dwell-undeclared", "warning", "nothing says how long an infection may go unseen")
def dwell_undeclared(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        if not scenario.effect.found_late or scenario.dwell is not None:
            continue
        logs = {store: log for store in _touched(scope, scenario) if (log := _log(scope, store)) is not None}
        if logs:
            store = min(logs, key=lambda one: logs[one])
            yield Wrong(
                ("scenarios", name, "disruption"),
                f"{name}: {store} has its log kept {say(logs[store])} against an infection found later; a moment "
                "before that is reached by whole backups only, not to the minute",
                "write 'dwell:', how long it may go unseen, so that backups can be held against it",
            )


@rule("retention-shorter-than-decision", "breach", "what would be restored is gone before the decision is made")
def retention_shorter_than_decision(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        if scenario.decide is None:
            continue
        for store in _touched(scope, scenario):
            for path, kept in _kept(scope, store):
                if kept <= scenario.decide:
                    yield Wrong(
                        path,
                        f"{store}: kept {say(kept)}, and the decision takes {say(scenario.decide)} "
                        f"(scenarios.{name}.decide)",
                        "keep it longer than it takes to notice and to decide",
                    )


def _kept(scope: Scope, store: str) -> Iterator[tuple[Path, timedelta]]:
    backup = scope.documents.stores[store].backup
    for kind in ("full", "incremental", "log"):
        declared = getattr(backup, kind) if backup is not None else None
        if declared is not None and declared.retain is not None:
            yield ("stores", store, "backup", kind, "retain"), declared.retain


def _late(scope: Scope) -> Iterator[tuple[str, Scenario, str]]:
    """Each store of a scenario that is found late; each store once, with the scenario that is found last."""
    found: dict[str, tuple[str, Scenario]] = {}
    for name, scenario in scope.documents.scenarios.items():
        if scenario.effect.found_late and scenario.dwell is not None:
            for store in _touched(scope, scenario):
                known = found.get(store)
                if known is None or (known[1].dwell or timedelta()) < scenario.dwell:
                    found[store] = (name, scenario)
    for store, (name, scenario) in found.items():
        yield name, scenario, store


def _touched(scope: Scope, scenario: Scenario) -> list[str]:
    """The stores that it takes; all where it does not say what it takes."""
    affects = scenario.affects
    named = affects.stores or affects.sites or affects.services
    return scope.affected(scenario) if named else list(scope.documents.stores)


def _log(scope: Scope, store: str) -> timedelta | None:
    declared = scope.documents.stores[store]
    log = declared.backup.log if declared.backup is not None else None
    return log.retain if log is not None and keeps_log(declared) else None
