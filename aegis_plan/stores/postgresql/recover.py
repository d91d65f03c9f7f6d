"""The recipe of a PostgreSQL restore: stage, replay and prove beside the old data, then swap, then protect again.
Pure; whatever cannot work is refused here, before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.documents.model import Reach as SshReach
from aegis_plan.errors import AegisError
from aegis_plan.observe.snapshot import Facts, store_facts
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Fact, Step, new_step
from aegis_plan.stores.contract import Ask, Recipe, RecoveryPoint, Refusal, Target
from aegis_plan.stores.postgresql.chains import archive
from aegis_plan.stores.postgresql.check import server as declared_server
from aegis_plan.stores.postgresql.copies import record_digest
from aegis_plan.stores.postgresql.facts import Seen, estimate, fact, problem, seen, sent_along, sized, slot_name
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
from aegis_plan.stores.postgresql.points import Reached, reach
from aegis_plan.stores.postgresql.positions import format_lsn, parse, parse_lsn
from aegis_plan.stores.postgresql.protect import stream_step

SPARE = 64 * 2**20
"""Bytes that a restore needs beyond data and log: the replay's own files and a first segment."""


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


def recover(ask: Ask, target: Target, *, member: str | None, beside: str | None) -> Recipe:
    """The steps of a restore, or a refusal; findings say what was noticed on the way."""
    findings: list[PlanFinding] = []
    choices: list[str] = []
    name = _member(ask, member, choices)
    if isinstance(name, PlanFinding):
        return Recipe(findings=(name,))
    look = ask.look.member(name)
    here = seen(look) if look is not None else None
    place = _place(ask, name, here, beside)
    if isinstance(place, PlanFinding):
        return Recipe(findings=(place,))
    server = declared_server(ask.store, name)
    assert server is not None, "a place was found by it"
    without = tuple(
        repository
        for repository, declared in ask.documents.repositories.items()
        if declared.site is not None and declared.site in ask.sites_down
    )
    lineages = archive(ask.look.shelf, without)
    tail_from = _tail_from(here, target) if beside is None else None
    found = reach(lineages, ask.look.shelf, target, tail_from=tail_from)
    if isinstance(found, Refusal):
        return Recipe(refusal=found, findings=(_refused(ask, found),), choices=tuple(choices))
    choices.extend(found.choices)
    point, one = found.point, lineages[found.point.lineage]
    tail = _tail(here, found, target, findings, ask) if beside is None else None
    major = int(point.lineage.rsplit("-", 1)[-1])
    if here is not None and here.look.binaries_version is not None and here.look.binaries_version // 10_000 != major:
        findings.append(
            problem(
                ask,
                "error",
                "binaries-differ",
                "the programs on the host are of another major version",
                f"the backup is of PostgreSQL {major}; {server.binaries} on {name} holds "
                f"{here.look.binaries_version // 10_000}",
                f"install PostgreSQL {major} there and name its folder in members.{name}.server.binaries",
            )
        )
    need = _need(point)
    room = _room(ask, name, here, need, beside, server)
    if room is not None:
        findings.append(room)
    if beside is None:
        findings.extend(_others(ask, name))
    findings.extend(_shelf(ask, without))
    draft = Recovery(ask, name, server, here, place, found, target, tail, need, store_facts(ask.look))
    _recipe(draft, beside is not None)
    sets = point.sets
    what = "set " + sets[0].set + (f" with {len(sets) - 1} incrementals" if len(sets) > 1 else "")
    log = [record for record in point.log if not record.details.get("history")]
    choices.append(
        f"{ask.name}: uses {what}"
        + (f" and {len(log)} ranges of log" if log else " without log")
        + f", to {point.position}"
    )
    if target.time is None and target.position is None and len(one.paths) > 1:
        choices.append(f"{ask.name}: follows timeline {found.timeline}, the youngest")
    if tail is not None:
        choices.append(f"{ask.name}: the old data directory can be read, so log that was not archived is taken from it")
    return Recipe(
        steps=tuple(draft.steps), findings=tuple(findings), choices=tuple(choices), point=_extended(point, tail, ask)
    )


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


def _member(ask: Ask, wanted: str | None, choices: list[str]) -> str | PlanFinding:
    """The member that takes the restore."""
    members = ask.store.members
    if wanted is not None:
        if wanted in members:
            return wanted
        return problem(
            ask,
            "error",
            "member-unknown",
            "the store has no such member",
            f"{ask.name} has {', '.join(members)}, not {wanted}",
            "name one of them with --member",
        )
    usable = [
        name
        for name, member in members.items()
        if member.site not in ask.sites_down and ask.documents.sites[member.site].reach == "local"
    ]
    standing = [name for name in members if members[name].site not in ask.sites_down]
    preferred = ask.store.preferred
    if preferred in (usable or standing):
        return str(preferred)
    for name in usable or standing:
        if len(members) > 1:
            why = "of those that this host can reach" if usable else "of those whose site is not down"
            choices.append(f"{ask.name}: {name} takes the restore, the first {why}")
        return name
    return problem(
        ask,
        "error",
        "no-place",
        "no server is left to take the restore",
        f"every member of {ask.name} is at a site that is down: {', '.join(sorted(set(ask.sites_down)))}",
        "declare a member at another site, or restore --beside a folder there",
    )


def _place(ask: Ask, name: str, here: Seen | None, beside: str | None) -> Place | PlanFinding:
    member = ask.store.members[name]
    reach_ = ask.documents.sites[member.site].reach
    if isinstance(reach_, SshReach):
        return problem(
            ask,
            "error",
            "place-unreachable",
            "the place of the restore is on another host",
            f"{name} of {ask.name} is at site {member.site}, on {reach_.ssh}; this host cannot reach it",
            f"run 'aegis' on {reach_.ssh.rsplit('@', 1)[-1]}, or choose another member with --member",
        )
    if member.site in ask.sites_down:
        return problem(
            ask,
            "error",
            "place-unreachable",
            "the place of the restore is on another host",
            f"{name} of {ask.name} is at site {member.site}, which is down",
            "choose another member with --member",
        )
    try:
        server = declared_server(ask.store, name)
    except AegisError as error:
        return problem(ask, "error", error.code, error.summary, error.detail, error.hint)
    if server is None:
        return problem(
            ask,
            "error",
            "server-not-declared",
            "the documents do not say how the server runs",
            f"member {name} of {ask.name} has no 'server:' with data_directory and binaries",
            "add it; a restore has to know where data lies and how the server is started",
        )
    if here is not None and here.look.data_directory == "elsewhere" and beside is None:
        return problem(
            ask,
            "error",
            "place-unreachable",
            "the place of the restore is on another host",
            f"{server.data_directory} of {name} is not on this host"
            + (f" ({here.look.host})" if here.look.host else ""),
            f"run 'aegis' on the host of {name}, or restore --beside a folder here",
        )
    return Place(
        member=None if beside is not None else name,
        beside=beside,
        binaries=server.binaries,
        run_as=server.run_as,
        data_directory=beside if beside is not None else server.data_directory,
    )


def _tail_from(here: Seen | None, target: Target) -> int | None:
    """From which LSN the old data directory still has the log, where that may be used."""
    if here is None or here.look.data_directory != "readable" or target.time is not None or target.position is not None:
        return None
    return parse(here.look.log_readable_from).lsn if here.look.log_readable_from else None


def _tail(here: Seen | None, found: Reached, target: Target, findings: list[PlanFinding], ask: Ask) -> str | None:
    if here is None or here.look.data_directory != "readable" or target.time is not None or target.position is not None:
        return None
    if here.lineage is not None and here.lineage != found.point.lineage:
        return None
    first, last = here.look.log_readable_from, here.look.log_readable_to
    if first is None or last is None:
        return None
    reached = found.reach
    base = parse(found.point.position) if reached.piece is not None else parse(reached.chain.last.begin)
    if here.look.timeline is not None and here.look.timeline < base.timeline:
        return None
    if parse(last).lsn <= base.lsn:
        return None
    if parse(first).lsn > base.lsn:
        findings.append(
            problem(
                ask,
                "warning",
                "tail-not-contiguous",
                "the old server's log begins behind the end of the archive",
                f"the archive ends at {base}, the old data directory has log from {first} on; what lies "
                "between is gone",
                "the old log cannot be used; the restore goes to the end of the archive",
            )
        )
        return None
    return str(base)


def _need(point: RecoveryPoint) -> int:
    """Bytes that staging takes at most: every set and the log unpacked."""
    stored: list[SetRecord | LogRecord] = [*point.sets, *point.log]
    return sum(part.plain_size for record in stored for part in record.objects) + SPARE


def _room(ask: Ask, name: str, here: Seen | None, need: int, beside: str | None, server: Server) -> PlanFinding | None:
    free = here.look.free_bytes if here is not None else None
    if free is None or beside is not None or free >= need:
        return None
    return problem(
        ask,
        "error",
        "no-room",
        "there is no room to stage the restored data beside the old",
        f"{sized(need)} are needed at {server.data_directory} on {name}, {sized(free)} are free",
        f"free {sized(need - free)} there, or restore --beside a folder on another disk; keep_old_data decides only "
        "what becomes of the old data afterwards",
    )


def _others(ask: Ask, name: str) -> list[PlanFinding]:
    """Members that would be wrong beside the restored one."""
    found = []
    for member in ask.look.members:
        if member.member == name or member.site in ask.sites_down:
            continue
        if member.state == "primary":
            found.append(
                problem(
                    ask,
                    "error",
                    "primary-elsewhere",
                    "another member is primary",
                    f"{member.member} takes writes; a restore onto {name} would make a second primary",
                    f"restore onto it with --member {member.member}, or --beside a folder",
                )
            )
        elif member.state == "replica":
            found.append(
                problem(
                    ask,
                    "warning",
                    "replica-left-behind",
                    "a replica does not follow a restore",
                    f"{member.member} keeps the data from before; it has to be made anew afterwards",
                    "look whether it has newer data than the archive before you apply",
                )
            )
    return found


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


def _recipe(draft: Recovery, aside: bool) -> None:
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

    tail_step = None
    if draft.tail is not None:
        if running:
            stop("its last log can be taken only when it has ended cleanly")
            stopped = True
        tail_step = draft.add(
            "archive-tail",
            "archive-tail",
            f"archive the log that {name} left behind",
            f"the archive ends at {draft.tail}, and the old data directory has more",
            TailParams(store=ask.name, member=name, lineage=point.lineage, begin=draft.tail),
            resource=f"{ask.name}/log",
            lease=f"{ask.name}/log",
            facts=tuple(lost),
            changes=(f"{ask.name}/newest-set",),
        )
    facts: list[Fact] = [fact(draft.facts, f"{ask.name}/newest-set"), *lost]
    if here is not None and here.look.free_bytes is not None and not aside:
        facts.append(Fact(name=f"{member}/free-bytes", value=here.look.free_bytes, at_least=float(draft.need)))
    stored: list[SetRecord | LogRecord] = [*point.sets, *point.log]
    sealed = sum(part.sealed_size for record in stored for part in record.objects)
    target_lsn = None
    if draft.target.position is not None:
        target_lsn = format_lsn(_lsn(draft.target.position))
    timeline = draft.reached.timeline
    if tail_step is not None and here is not None and here.look.timeline is not None:
        timeline = max(timeline, here.look.timeline)
    stage = draft.add(
        "stage",
        "stage",
        f"fetch, verify and unpack {_sets(point.sets)}" + (" and the log" if point.log or tail_step else ""),
        f"{ask.name} goes back to {_where(draft.target, point)}",
        StageParams(
            store=ask.name,
            lineage=point.lineage,
            place=place,
            sets={record.id: record_digest(record) for record in point.sets},
            log={record.id: record_digest(record) for record in point.log},
            tail=tail_step,
            timeline=timeline,
            target_time=draft.target.time,
            target_lsn=target_lsn,
            need_bytes=draft.need,
        ),
        builds_on=(tail_step,) if tail_step is not None else (),
        facts=tuple(facts),
        estimate=estimate(ask, "stage", sealed),
    )
    replay = draft.add(
        "replay",
        "replay",
        f"replay the log to {_where(draft.target, point)} and prove it",
        "the data is proved on a private socket before anything is touched",
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
        estimate=estimate(ask, "replay", _log_bytes(point)),
    )
    if aside:
        return
    if not stopped:
        stop("the restored data takes the place of the old" if running else "makes sure that no server runs there")
    draft.add(
        "swap",
        "swap",
        f"put the restored data in place of {server.data_directory}",
        _kept(ask.store.keep_old_data),
        SwapParams(store=ask.name, place=place, replay=replay, keep_old=ask.store.keep_old_data),
        builds_on=(replay,),
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


def _log_bytes(point: RecoveryPoint) -> int:
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
