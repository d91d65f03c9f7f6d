"""What brings the protection of a PostgreSQL store to what is declared, and one backup asked for by hand. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aegis_plan.catalog.due import due_since
from aegis_plan.catalog.record import SetRecord
from aegis_plan.documents.model import Backup
from aegis_plan.observe.snapshot import Facts, store_facts
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Fact, Step, new_step
from aegis_plan.stores.contract import Ask, Recipe
from aegis_plan.stores.postgresql.chains import Chain, LineageArchive, archive, set_timeline
from aegis_plan.stores.postgresql.copies import copies, record_digest
from aegis_plan.stores.postgresql.facts import (
    Seen,
    age,
    archive_end,
    covered_until,
    estimate,
    fact,
    problem,
    seen,
    sent_along,
    sized,
    slot_name,
)
from aegis_plan.stores.postgresql.model import BackupParams, LogParams, SlotParams, StreamParams
from aegis_plan.stores.postgresql.positions import parse_lsn

CHAIN_CAP = 7
"""Sets in a chain, the full among them; a longer one restores slowly and hangs on more objects."""
LOW_SLOT = 256 * 2**20
"""Bytes that may still be written before a slot is lost, below which it is a finding."""


@dataclass
class Draft:
    """A recipe in the making."""

    ask: Ask
    backup: Backup
    lineages: Mapping[str, LineageArchive]
    facts: Facts
    streamed: Mapping[str, object] | None
    """What the site's daemon says of this store's stream; None when it streams nothing."""
    steps: list[Step] = field(default_factory=list)
    findings: list[PlanFinding] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)

    def find(self, severity: str, code: str, summary: str, detail: str = "", hint: str = "") -> None:
        self.findings.append(problem(self.ask, severity, code, summary, detail, hint))

    def recipe(self) -> Recipe:
        return Recipe(steps=tuple(self.steps), findings=tuple(self.findings), choices=tuple(self.choices))


def protect(ask: Ask) -> Recipe:
    """Steps for all that is overdue, missing or off; none when all is as declared."""
    if ask.store.backup is None:
        note = problem(
            ask,
            "warning",
            "store-not-backed-up",
            "a store has no backup",
            f"{ask.name} declares none",
            "add 'backup:' to the store, or take the store out",
        )
        return Recipe(findings=(note,))
    draft = Draft(ask, ask.store.backup, archive(ask.look.shelf), store_facts(ask.look), ask.stream)
    _catalog(draft)
    server = _server(draft)
    if server is None or not _fit(draft, server):
        return draft.recipe()
    one = draft.lineages.get(server.lineage or "")
    chain = one.newest if one is not None else None
    logged = draft.backup.log is not None
    hole = _slot(draft, server, one, chain) if logged else ""
    full = _full(draft, server, one, chain, hole)
    if full:
        _backup_step(draft, server, "full", full, None)
    elif draft.backup.incremental is not None and chain is not None:
        _incremental(draft, server, chain)
    if logged:
        _log(draft, server, one, chain, hole)
    elif draft.streamed is not None:
        _end_stream(draft, server)
    found, missing = copies(ask, draft.lineages, server.member.site)
    draft.steps.extend(found)
    draft.findings.extend(missing)
    return draft.recipe()


def backup(ask: Ask, method: Literal["full", "incremental", "log"]) -> Recipe:
    """One backup by hand; an incremental that may not be becomes a full and says why."""
    declared = ask.store.backup
    if declared is None:
        error = problem(
            ask,
            "error",
            "store-not-backed-up",
            "a store has no backup",
            f"{ask.name} declares none",
            "add 'backup:' to the store; it says which repositories take the set",
        )
        return Recipe(findings=(error,))
    draft = Draft(ask, declared, archive(ask.look.shelf), store_facts(ask.look), ask.stream)
    server = _server(draft)
    if server is None or not _fit(draft, server):
        return draft.recipe()
    one = draft.lineages.get(server.lineage or "")
    chain = one.newest if one is not None else None
    hole = _slot(draft, server, one, chain) if declared.log is not None or method == "log" else ""
    if method == "log":
        if draft.streamed is not None:
            draft.find("note", "log-is-streamed", "the log is streamed already", f"{ask.name}: nothing to do by hand")
        else:
            _log_step(draft, server, one, chain, hole, "asked for")
        return draft.recipe()
    if method == "full":
        _backup_step(draft, server, "full", "asked for", None)
    else:
        why = hole or _why_full(server, chain)
        if why or chain is None:
            _backup_step(draft, server, "full", f"an incremental was asked for, but {why}", None, why_full=why)
        else:
            _backup_step(draft, server, "incremental", "asked for", chain.last)
    return draft.recipe()


def _server(draft: Draft) -> Seen | None:
    """The member that is read: the declared one, else the one primary."""
    ask, name = draft.ask, draft.backup.from_member
    primaries = [member for member in ask.look.members if member.state == "primary"]
    if name is not None:
        member = ask.look.member(name)
        if member is not None and member.state in ("primary", "replica"):
            return seen(member)
        state = f"{name} is {member.state}: {member.reason}" if member is not None else f"{name} was not looked at"
        draft.find("error", "member-unreachable", "the server to back up cannot be reached", state, _look_hint())
        return None
    if len(primaries) == 1:
        return seen(primaries[0])
    saw = "; ".join(
        f"{member.member} is {member.state}" + (f" ({member.reason})" if member.reason else "")
        for member in ask.look.members
    )
    if len(primaries) > 1:
        draft.find(
            "error",
            "two-primaries",
            "more than one member is primary",
            saw,
            "find out which one takes writes and stop the other; nothing is backed up until then",
        )
    elif any(member.state in ("unreachable", "unknown") for member in ask.look.members):
        draft.find("error", "member-unreachable", "the server to back up cannot be reached", saw, _look_hint())
    else:
        draft.find(
            "error",
            "no-primary",
            "no member is primary",
            saw or "no member was looked at",
            "start the server, or plan a recovery with 'aegis plan --scenario NAME'",
        )
    return None


def _look_hint() -> str:
    return (
        "check its connection and whether it runs; where it is lost, plan a recovery with 'aegis plan --scenario NAME'"
    )


def _fit(draft: Draft, server: Seen) -> bool:
    """Whether the server can be backed up over the replication protocol at all."""
    look, member = server.look, server.member.member
    ok = True
    if look.can_replicate is False:
        draft.find(
            "error",
            "no-replication-right",
            "the server does not let us replicate",
            f"{member}: {look.replication_reason or 'no reason given'}",
            "ALTER ROLE ... REPLICATION, and a line 'host replication ...' in pg_hba.conf",
        )
        ok = False
    if look.wal_level == "minimal":
        draft.find(
            "error",
            "wal-level-minimal",
            "the server writes too little log for backups",
            f"{member}: wal_level is minimal",
            "ALTER SYSTEM SET wal_level = replica; and restart the server",
        )
        ok = False
    if server.lineage is None:
        draft.find(
            "error",
            "member-unreachable",
            "the server to back up cannot be reached",
            f"{member}: its system identifier could not be read",
            _look_hint(),
        )
        ok = False
    return ok


def _catalog(draft: Draft) -> None:
    """Findings about what the repositories hold."""
    for holding in draft.ask.look.shelf.holdings:
        if not holding.reachable:
            draft.find(
                "warning",
                "repository-unreachable",
                "a repository cannot be reached",
                f"{holding.repository}: {holding.reason}",
                "copies there are missing from this plan; look again when it is back",
            )
        for damage in holding.damage[:20]:
            severity = "breach" if damage.kind in ("unknown-signer", "bad-signature", "rolled-back") else "warning"
            draft.find(
                severity,
                "copy-damaged",
                "something in a repository is not as its record says",
                f"{holding.repository}: {damage.kind.replace('-', ' ')}: {damage.key}: {damage.detail}",
                "other copies are used; find out who or what changed it",
            )
        if len(holding.damage) > 20:
            draft.find(
                "warning",
                "copy-damaged",
                "something in a repository is not as its record says",
                f"{holding.repository}: {len(holding.damage) - 20} more",
                "'aegis catalog' lists them",
            )


def _slot(draft: Draft, server: Seen, one: LineageArchive | None, chain: Chain | None) -> str:
    """Plans a slot where there is none; says why the log has a hole, or nothing."""
    ask, look, name = draft.ask, server.look, slot_name(draft.ask.name, draft.backup)
    accepted = draft.backup.log is not None and draft.backup.log.accept_unlimited_slot
    if look.max_slot_wal_keep_size_mb == -1 and not accepted:
        draft.find(
            "error",
            "slot-without-limit",
            "a slot may fill the server's disk",
            f"{server.member.member}: max_slot_wal_keep_size has no limit, so that a slot nobody reads keeps log until "
            "the disk is full",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '8GB'; SELECT pg_reload_conf(); or accept it in the documents "
            "with backup.log.accept_unlimited_slot: true",
        )
    slot = look.slot
    end = archive_end(one, chain, look.timeline)
    if slot is not None and slot.wal_status != "lost":
        if slot.wal_status == "unreserved" or (slot.safe_bytes is not None and slot.safe_bytes < LOW_SLOT):
            left = f"{sized(slot.safe_bytes)} left" if slot.safe_bytes is not None else "no reserve left"
            draft.find(
                "warning",
                "slot-near-its-limit",
                "the slot is about to be lost",
                f"{name}: {left} before the server drops log that is not archived",
                "archive the log now, or raise max_slot_wal_keep_size",
            )
        if draft.streamed is not None and not slot.active:
            draft.find(
                "warning",
                "slot-inactive",
                "nobody reads the slot, though the log should be streamed",
                f"{name} on {server.member.member}",
                "look at what 'aegis site run' says on that site",
            )
        if end is None or slot.restart_lsn is None or parse_lsn(slot.restart_lsn) <= end.lsn:
            return ""
        if end.timeline != look.timeline and look.timeline is not None:
            return ""
        why = f"the log between {end} and {slot.restart_lsn} was not archived, and the slot no longer keeps it"
        draft.find(
            "warning", "log-hole", "the log has a hole", why, "the plan takes a full, from which it is whole again"
        )
        return why
    lost = slot is not None
    reason = "its slot was lost, log is missing" if lost else "no slot keeps the log until it is archived"
    draft.steps.append(
        new_step(
            "create-slot",
            id=f"{ask.name}.create-slot",
            title=f"reserve the log of {ask.name} on {server.member.member}",
            reason=reason,
            site=server.member.site,
            tier=ask.tier,
            phase="protect",
            subject=ask.name,
            resource=f"{ask.name}/log",
            lease=f"{ask.name}/log",
            params=SlotParams(
                store=ask.name, member=server.member.member, slot=name, accept_unlimited=accepted
            ).model_dump(mode="json"),
            declared=sent_along(ask),
            facts=_facts(draft, "primary", "lineage"),
            estimate=estimate(ask, "create-slot"),
        )
    )
    if lost:
        why = f"the slot {name} was lost, and log that was not archived with it"
        draft.find("warning", "slot-lost", "the slot was lost", why, "the plan makes it anew and takes a full")
        return why
    if end is not None:
        why = "the slot was gone, so that the log may have a hole"
        gone = f"{name} on {server.member.member} is gone, and log behind {end} may be gone with it"
        draft.find("warning", "slot-lost", "the slot was lost", gone, "the plan makes it anew and takes a full")
        return why
    return ""


def _facts(draft: Draft, *names: str) -> tuple[Fact, ...]:
    """Facts of the store by their short names. The lineage is the primary's, also where a replica is read."""
    return tuple(fact(draft.facts, f"{draft.ask.name}/{name}") for name in names)


def _full(draft: Draft, server: Seen, one: LineageArchive | None, chain: Chain | None, hole: str) -> str:
    """Why a full is needed now, or nothing."""
    if chain is None:
        if one is not None and one.broken:
            return f"no set can be read whole: {sorted(one.broken.values())[0]}"
        if draft.lineages:
            return "the server has a new history, and no set is of it"
        return "there is no backup yet"
    timeline = server.look.timeline
    if timeline is not None and set_timeline(chain.last) != timeline:
        return (
            f"the server went on to timeline {timeline}, and the newest set is of timeline {set_timeline(chain.last)}"
        )
    if hole:
        return hole
    if one is not None and one.broken and max(one.promised, key=lambda record: record.not_after).set in one.broken:
        newest = max(one.promised, key=lambda record: record.not_after)
        return f"the newest set cannot be read whole: {one.broken[newest.set]}"
    declared = draft.backup.full
    if declared is None or declared.schedule is None:
        return ""
    newest_full = max(chain.sets[0].begun, *(other.sets[0].begun for other in (one.chains if one else [])))
    since = due_since(declared.schedule, draft.ask.documents.system.timezone, newest_full, draft.ask.now)
    if since is None:
        return ""
    overdue, old = (draft.ask.now - since).total_seconds(), (draft.ask.now - newest_full).total_seconds()
    return f"due for {age(overdue)}; the last full is {age(old)} old"


def _why_full(server: Seen, chain: Chain | None) -> str:
    """Why an incremental cannot be taken, or nothing."""
    look = server.look
    if chain is None:
        return "there is no full to build on"
    if look.version is not None and look.version < 170_000:
        return f"PostgreSQL {look.version // 10_000} takes no incremental backups, 17 is the first that does"
    if look.timeline is not None and set_timeline(chain.last) != look.timeline:
        return f"the server went on to timeline {look.timeline} since the newest set"
    if look.summarize_wal is False:
        return "the server does not summarize its log (summarize_wal is off)"
    if look.data_checksums is False and look.wal_log_hints is False:
        return "the server has neither data checksums nor wal_log_hints, without which an incremental may miss changes"
    if len(chain.sets) >= CHAIN_CAP:
        return f"the chain has {len(chain.sets)} sets already"
    return ""


def _incremental(draft: Draft, server: Seen, chain: Chain) -> None:
    declared = draft.backup.incremental
    if declared is None or declared.schedule is None:
        return
    now = draft.ask.now
    since = due_since(declared.schedule, draft.ask.documents.system.timezone, chain.last.begun, now)
    if since is None:
        return
    due = f"due for {age((now - since).total_seconds())}"
    why = _why_full(server, chain)
    if why:
        _backup_step(draft, server, "full", f"an incremental is {due}, but {why}", None, why_full=why)
    else:
        _backup_step(draft, server, "incremental", due, chain.last)


def _backup_step(
    draft: Draft,
    server: Seen,
    method: Literal["full", "incremental"],
    reason: str,
    parent: SetRecord | None,
    *,
    why_full: str = "",
) -> None:
    ask = draft.ask
    member = server.member.member
    params = BackupParams(
        store=ask.name,
        member=member,
        lineage=server.lineage or "",
        method=method,
        parent=parent.id if parent is not None else None,
        parent_digest=record_digest(parent) if parent is not None else None,
        timeline=server.look.timeline,
        why_full=why_full,
    )
    draft.steps.append(
        new_step(
            "backup",
            id=f"{ask.name}.backup",
            title=f"take {'a full' if method == 'full' else 'an incremental'} backup of {ask.name} from {member}",
            reason=reason,
            site=server.member.site,
            tier=ask.tier,
            phase="protect",
            subject=ask.name,
            resource=f"{ask.name}/data",
            lease=f"{ask.name}/data",
            params=params.model_dump(mode="json"),
            declared=sent_along(ask),
            needs=tuple(step.id for step in draft.steps if step.action == "create-slot"),
            facts=_facts(draft, "lineage", f"{member}/state", f"{member}/timeline", "newest-set"),
            changes=(f"{ask.name}/newest-set",),
            estimate=estimate(ask, "backup", server.look.size_bytes if method == "full" else None),
        )
    )


def _log(draft: Draft, server: Seen, one: LineageArchive | None, chain: Chain | None, hole: str) -> None:
    declared, ask = draft.backup.log, draft.ask
    if declared is None:
        return
    if declared.stream and draft.streamed is not None:
        _flowing(draft, draft.streamed)
        return
    if draft.streamed is not None:
        _end_stream(draft, server)
    behind = _behind(server, one, chain)
    full = next((step for step in draft.steps if step.action == "backup" and step.params["method"] == "full"), None)
    if full is not None:
        _log_step(draft, server, one, chain, hole, "the new full needs the log behind it")
    elif behind:
        since = None
        if declared.schedule is not None and one is not None and chain is not None:
            covered = covered_until(one, chain, server.look.timeline)
            since = due_since(declared.schedule, ask.documents.system.timezone, covered, ask.now)
        elif declared.schedule is None:
            since = ask.now
        if since is not None:
            _log_step(draft, server, one, chain, hole, behind)
    if declared.stream:
        _start_stream(draft, server)


def _flowing(draft: Draft, said: Mapping[str, object]) -> None:
    """A stream that is declared at the site and does not flow archives nothing."""
    if said.get("state") in ("failed", "waiting", "stopped"):
        why = f": {said['error']}" if said.get("error") else ""
        draft.find(
            "warning",
            "stream-not-flowing",
            "the log stream does not flow",
            f"{draft.ask.name}: the daemon says {said['state']}{why}",
            "mend what it names; the stream goes on by itself",
        )


def _behind(server: Seen, one: LineageArchive | None, chain: Chain | None) -> str:
    """How far the archive is behind the server, or nothing."""
    end = archive_end(one, chain, server.look.timeline)
    if end is None or server.flush is None:
        return "nothing of the log is archived yet"
    if end.timeline != server.look.timeline:
        return f"the server went on to timeline {server.look.timeline}"
    return f"{sized(server.flush - end.lsn)} are not archived" if server.flush > end.lsn else ""


def _log_step(
    draft: Draft, server: Seen, one: LineageArchive | None, chain: Chain | None, hole: str, reason: str
) -> None:
    ask = draft.ask
    end = archive_end(one, chain, server.look.timeline) if not hole else None
    params = LogParams(
        store=ask.name,
        member=server.member.member,
        lineage=server.lineage or "",
        slot=slot_name(ask.name, draft.backup),
        begin=str(end) if end is not None else None,
    )
    size = server.flush - end.lsn if server.flush is not None and end is not None else None
    draft.steps.append(
        new_step(
            "archive-log",
            id=f"{ask.name}.archive-log",
            title=f"archive the log of {ask.name} from {server.member.member}",
            reason=reason,
            site=server.member.site,
            tier=ask.tier,
            phase="protect",
            subject=ask.name,
            resource=f"{ask.name}/log",
            lease=f"{ask.name}/log",
            params=params.model_dump(mode="json"),
            declared=sent_along(ask),
            needs=tuple(step.id for step in draft.steps if step.action in ("create-slot", "backup", "stop-log-stream")),
            facts=_facts(draft, "lineage", f"{server.member.member}/state", f"{server.member.member}/timeline"),
            estimate=estimate(ask, "archive-log", size if size is not None and size >= 0 else None),
        )
    )


def stream_step(ask: Ask, server_site: str, member: str, lineage: str | None, **fields: Any) -> Step:
    """The step that has the site's daemon stream the log; the daemon takes the lease itself, so the run holds none."""
    params = StreamParams(store=ask.name, member=member, slot=slot_name(ask.name, ask.store.backup), lineage=lineage)
    known: dict[str, Any] = {
        "id": f"{ask.name}.start-log-stream",
        "title": f"stream the log of {ask.name} from {member}",
        "reason": "the log should be streamed, and nobody does",
        "site": server_site,
        "tier": ask.tier,
        "phase": "protect",
        "subject": ask.name,
        "resource": f"{ask.name}/stream",
        "params": params.model_dump(mode="json"),
        "declared": sent_along(ask),
        "estimate": estimate(ask, "start-log-stream"),
    }
    return new_step("start-log-stream", **{**known, **fields})


def _start_stream(draft: Draft, server: Seen) -> None:
    draft.steps.append(
        stream_step(
            draft.ask,
            server.member.site,
            server.member.member,
            server.lineage,
            needs=tuple(step.id for step in draft.steps if step.action in ("create-slot", "archive-log")),
            facts=_facts(draft, "lineage"),
        )
    )


def _end_stream(draft: Draft, server: Seen) -> None:
    ask = draft.ask
    params = StreamParams(
        store=ask.name, member=server.member.member, slot=slot_name(ask.name, draft.backup), lineage=server.lineage
    )
    draft.steps.append(
        new_step(
            "stop-log-stream",
            id=f"{ask.name}.stop-log-stream",
            title=f"end the log stream of {ask.name}",
            reason="the log is streamed, and the documents do not say so",
            site=server.member.site,
            tier=ask.tier,
            phase="protect",
            subject=ask.name,
            resource=f"{ask.name}/stream",
            params=params.model_dump(mode="json"),
            declared=sent_along(ask),
            estimate=estimate(ask, "stop-log-stream"),
        )
    )
