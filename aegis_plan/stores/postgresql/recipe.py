"""The steps of a PostgreSQL restore: stage and prove beside the old data, then swap, then protect again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.observe.snapshot import Facts
from aegis_plan.plan.step import Fact, Step, new_step
from aegis_plan.stores.contract import Ask, RecoveryPoint, Target
from aegis_plan.stores.copies import record_digest
from aegis_plan.stores.postgresql.facts import Seen, estimate, fact, sent_along, slot_name
from aegis_plan.stores.postgresql.log_steps import stream_step
from aegis_plan.stores.postgresql.model import (
    AcceptParams,
    BackupParams,
    LogParams,
    Place,
    ReplayParams,
    Server,
    ServerParams,
    SlotParams,
    StageParams,
    SwapParams,
    TailParams,
)
from aegis_plan.stores.postgresql.points import Reached
from aegis_plan.stores.postgresql.positions import format_lsn, parse, parse_lsn
from aegis_plan.stores.postgresql.recipe_no_room import clear, prove


@dataclass
class Recovery:
    """A recovery in the making."""

    ask: Ask
    member: str
    server: Server
    seen: Seen | None
    place: Place
    reached: Reached
    target: Target
    tail: str | None
    """Position at which the old data directory's log is taken up; None where it is not."""
    need: int
    facts: Facts
    fate: str | None = None
    """What becomes of the old data before anything is staged: `no` or a path; None where there is room for both."""
    need_alone: int = 0
    """`need`, and the log once more, which a replay copies into the data directory until its next checkpoint."""
    steps: list[Step] = field(default_factory=list)

    def id(self, name: str) -> str:
        return f"{self.ask.name}.{name}"

    def add(self, action: str, name: str, title: str, reason: str, params: Any, **fields: Any) -> str:
        """Appends a step, after the one before it unless told otherwise, and gives its id."""
        aside = self.place.beside is not None
        known: dict[str, Any] = {
            "id": self.id(name),
            "title": title,
            "reason": reason,
            "site": self.ask.store.members[self.member].site,
            "tier": self.ask.tier,
            "phase": "data",
            "subject": self.ask.name,
            "resource": f"{self.ask.name}/beside" if aside else f"{self.ask.name}/data",
            "lease": "" if aside else f"{self.ask.name}/data",
            "params": params.model_dump(mode="json"),
            "declared": sent_along(self.ask),
            "needs": (self.steps[-1].id,) if self.steps else (),
            "estimate": estimate(self.ask, action),
        }
        self.steps.append(new_step(action, **{**known, **fields}))
        return self.steps[-1].id


def write_recipe(draft: Recovery, aside: bool) -> str:
    """Writes the steps; the one after which the store serves, or, aside, after which the data is proved."""
    ask, name, server, place = draft.ask, draft.member, draft.server, draft.place
    here = draft.seen
    point = draft.reached.point
    state = here.member.state if here is not None else "unknown"
    running = state in ("primary", "replica")
    member = ask.name + "/" + name
    lost = [fact(draft.facts, f"{member}/state")] if here is not None else []
    moved = (f"{member}/state", f"{ask.name}/primary", f"{member}/timeline", f"{member}/lag-bytes")
    stopped = False

    def stop(reason: str) -> str:
        return draft.add(
            "stop-server",
            "stop",
            f"stop the server of {ask.name} on {name}",
            reason,
            ServerParams(store=ask.name, member=name),
            facts=tuple(lost),
            changes=moved,
        )

    facts: list[Fact] = [fact(draft.facts, f"{ask.name}/newest-set"), *lost]
    if here is not None and here.look.free_bytes is not None and not aside:
        used = here.look.used_bytes
        alone = 0 if used is None else draft.need_alone - used
        least = draft.need if draft.fate is None else max(0, alone)
        facts.append(Fact(name=f"{member}/free-bytes", value=here.look.free_bytes, at_least=float(least)))
    stored: list[SetRecord | LogRecord] = [*point.sets, *point.log]
    sealed = sum(part.sealed_size for record in stored for part in record.objects)
    target_lsn = None
    if draft.target.position is not None:
        target_lsn = format_lsn(_lsn(draft.target.position))
    params = StageParams(
        store=ask.name,
        lineage=point.lineage,
        place=place,
        sets={record.id: record_digest(record) for record in point.sets},
        log={record.id: record_digest(record) for record in point.log},
        timeline=draft.reached.timeline,
        target_time=draft.target.time,
        target_lsn=target_lsn,
        need_bytes=draft.need,
    )

    def take_tail() -> str:
        assert draft.tail is not None
        return draft.add(
            "archive-tail",
            "archive-tail",
            f"archive the log that {name} left behind",
            f"the archive ends at {draft.tail}, and the old data directory has more",
            TailParams(
                store=ask.name,
                member=name,
                lineage=point.lineage,
                begin=draft.tail,
                timeline=here.look.timeline if here is not None else None,
            ),
            resource=f"{ask.name}/log",
            lease=f"{ask.name}/log",
            facts=tuple(lost),
            changes=(f"{ask.name}/newest-set",),
        )

    def stage_all(params: StageParams, tail: str | None, rests: tuple[Fact, ...] = tuple(facts)) -> str:
        return draft.add(
            "stage",
            "stage",
            f"fetch, verify and unpack {_sets(point.sets)}" + (" and the log" if point.log or tail else ""),
            f"{ask.name} goes back to {_where(draft.target, point)}",
            params,
            builds_on=(tail,) if tail is not None else (),
            facts=rests,
            estimate=estimate(ask, "stage", sealed),
        )

    first = tail_step = cleared = None
    proved = ""
    if draft.fate is not None:
        proved = prove(draft, params, tuple(facts), sealed)
        stop("the old data goes first, and no server may work in it")
        stopped = True
        tail_step = take_tail() if draft.tail is not None else None
    elif draft.tail is not None:
        if running:
            # What cannot be read has to show while the server still serves.
            first = stage_all(params, None)
            stop("its last log can be taken only when it has ended cleanly")
            stopped = True
        tail_step = take_tail()
    timeline = draft.reached.timeline
    if tail_step is not None and here is not None and here.look.timeline is not None:
        timeline = max(timeline, here.look.timeline)
    params = params.model_copy(update={"tail": tail_step, "timeline": timeline})
    if draft.fate is not None:
        cleared = clear(draft, params, proved)
        stage = stage_all(params, tail_step, ())
    elif first is None or tail_step is None:
        stage = stage_all(params, tail_step)
    else:
        stage = draft.add(
            "stage",
            "stage-tail",
            f"fetch and verify the log that {name} left behind",
            "what was staged before the server stopped goes on to its last commit",
            params,
            builds_on=(first, tail_step),
            estimate=estimate(ask, "stage", 0),
        )
    replay = draft.add(
        "replay",
        "replay",
        f"replay the log to {_where(draft.target, point)} and prove it",
        "the data is proved on a private socket before "
        + ("it takes the place of the old" if stopped else "anything is touched"),
        ReplayParams(
            store=ask.name,
            lineage=point.lineage,
            place=place,
            timeline=timeline,
            target_time=draft.target.time,
            target_lsn=target_lsn,
            stage=stage,
        ),
        builds_on=(stage,),
        estimate=estimate(ask, "replay", log_bytes(point)),
    )
    if aside:
        return replay
    if not stopped:
        stop("the restored data takes the place of the old" if running else "makes sure that no server runs there")
    draft.add(
        "swap",
        "swap",
        f"put the restored data in place of {server.data_directory}",
        _kept(ask.store.keep_old_data) if cleared is None else "its place is empty",
        SwapParams(store=ask.name, place=place, replay=replay, keep_old=ask.store.keep_old_data, cleared=cleared),
        builds_on=(replay, *((cleared,) if cleared is not None else ())),
        changes=(
            f"{ask.name}/lineage",
            f"{member}/free-bytes",
            f"{member}/lineage",
            *moved,
        ),
    )
    start = draft.add(
        "start-server",
        "start",
        f"start the server of {ask.name} on {name}",
        "the restored data is served again",
        ServerParams(store=ask.name, member=name),
        changes=moved,
    )
    accept = draft.add(
        "accept",
        "accept",
        f"accept the restored data of {ask.name}",
        "the server is on the proved timeline, from here on it archives again",
        AcceptParams(store=ask.name, member=name, place=place, replay=replay),
        builds_on=(replay, start),
        changes=(f"{ask.name}/lineage", *moved),
    )
    _protect_again(draft, accept, stage)
    return accept


def _protect_again(draft: Recovery, accept: str, stage: str) -> None:
    """Slot, log and a full: until these are done the store is not protected. Their failure never takes the restored
    data back."""
    ask, name, backup = draft.ask, draft.member, draft.ask.store.backup
    if backup is None:
        return
    point = draft.reached.point
    after: tuple[str, ...] = (accept,)
    if backup.log is not None:
        slot = slot_name(ask.name, backup)
        created = draft.add(
            "create-slot",
            "create-slot",
            f"reserve the log of {ask.name} on {name}",
            "a restored server has no slots",
            SlotParams(store=ask.name, member=name, slot=slot, accept_unlimited=backup.log.accept_unlimited_slot),
            needs=after,
            resource=f"{ask.name}/log",
            lease=f"{ask.name}/log",
            on_error="continue",
        )
        logged = draft.add(
            "archive-log",
            "archive-log",
            f"archive the log of {ask.name} over the change of timelines",
            "proves that the log goes on without a hole",
            LogParams(store=ask.name, member=name, lineage=point.lineage, slot=slot),
            needs=(created,),
            builds_on=(stage,),
            phase="verify",
            resource=f"{ask.name}/log",
            lease=f"{ask.name}/log",
            on_error="continue",
        )
        # Where the staged log ended is known only then: an old data directory may have given more than the archive.
        continued = draft.steps[-1]
        draft.steps[-1] = continued.model_copy(
            update={"params": {**continued.params, "begin": {"output": f"{stage}.end"}}}
        )
        after = (created,)
        if backup.log.stream:
            draft.steps.append(
                stream_step(
                    ask,
                    ask.store.members[name].site,
                    name,
                    point.lineage,
                    phase="verify",
                    needs=(logged,),
                    reason="the log is streamed again",
                    on_error="continue",
                )
            )
    draft.add(
        "backup",
        "backup",
        f"take a full backup of {ask.name} from {name}",
        "the store is unprotected until a set of the new timeline exists",
        BackupParams(store=ask.name, member=name, lineage=point.lineage, method="full"),
        needs=after,
        phase="verify",
        changes=(f"{ask.name}/newest-set",),
        estimate=estimate(ask, "backup"),
        on_error="continue",
    )


def _lsn(text: str) -> int:
    return parse(text).lsn if text.count("/") == 2 else parse_lsn(text)


def log_bytes(point: RecoveryPoint) -> int:
    """Bytes of the log that a replay reads."""
    return sum(part.plain_size for record in point.log for part in record.objects)


def _sets(sets: tuple[SetRecord, ...]) -> str:
    return f"set {sets[0].set}" if len(sets) == 1 else f"a chain of {len(sets)} sets"


def _where(target: Target, point: RecoveryPoint) -> str:
    if target.time is not None:
        return _text(target.time)
    if target.position is not None:
        return target.position
    return "the end of the log" if point.log else "the end of the set"


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _kept(keep: str) -> str:
    if keep == "beside":
        return "the old data is kept beside it and can be put back"
    if keep == "no":
        return "the old data is removed once the restored data is accepted, as the documents say"
    return f"the old data is moved to {keep}"
