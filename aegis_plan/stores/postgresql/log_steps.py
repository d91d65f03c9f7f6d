"""The steps that keep the log of a store archived: its slot, the due job, the stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aegis_plan.catalog.due import ahead, due_since
from aegis_plan.documents.recipients import recipients_of
from aegis_plan.documents.scalars import sized
from aegis_plan.plan.step import Step, new_step
from aegis_plan.stores.contract import Ask
from aegis_plan.stores.postgresql.chains import Chain, LineageArchive
from aegis_plan.stores.postgresql.draft import Draft, facts_of
from aegis_plan.stores.postgresql.facts import (
    Seen,
    archive_end,
    covered_until,
    estimate,
    sent_along,
    slot_name,
)
from aegis_plan.stores.postgresql.model import LogParams, SlotParams, StreamParams
from aegis_plan.stores.postgresql.positions import parse_lsn

LOW_SLOT = 256 * 2**20
"""Bytes that may still be written before a slot is lost, below which it is a finding."""


def slot_step(draft: Draft, server: Seen, one: LineageArchive | None, chain: Chain | None) -> str:
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
            facts=facts_of(draft, "primary", "lineage"),
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


def log_steps(draft: Draft, server: Seen, one: LineageArchive | None, chain: Chain | None, hole: str) -> None:
    declared, ask = draft.backup.log, draft.ask
    if declared is None:
        return
    if declared.stream and draft.streamed is not None:
        flowing(draft, draft.streamed)
        if seals_to_others(draft.ask, draft.streamed):
            start_stream(draft, server, "the recipients of the documents were changed, and the stream seals to others")
        return
    if draft.streamed is not None:
        end_stream(draft, server)
    behind = lag_of_archive(server, one, chain)
    full = next((step for step in draft.steps if step.action == "backup" and step.params["method"] == "full"), None)
    if full is not None:
        log_step(draft, server, one, chain, hole, "the new full needs the log behind it")
    elif behind:
        since = None
        if declared.schedule is not None and one is not None and chain is not None:
            covered = covered_until(one, chain, server.look.timeline)
            since = due_since(declared.schedule, ask.documents.system.timezone, covered, ask.now)
            if ahead(covered, ask.now):
                since = ask.now  # a clock was wrong: what is not archived is due
        elif declared.schedule is None:
            since = ask.now
        if since is not None:
            log_step(draft, server, one, chain, hole, behind)
    if declared.stream:
        start_stream(draft, server)


def seals_to_others(ask: Ask, said: Mapping[str, object]) -> bool:
    """Whether a stream seals to other recipients than those of the documents."""
    readers, sealing = said.get("readers"), ask.documents.sealing
    return (
        isinstance(readers, list)
        and bool(readers)
        and sealing is not None
        and set(readers) != {*recipients_of(sealing)[1]}
    )


def flowing(draft: Draft, said: Mapping[str, object]) -> None:
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


def lag_of_archive(server: Seen, one: LineageArchive | None, chain: Chain | None) -> str:
    """How far the archive is behind the server, or nothing."""
    end = archive_end(one, chain, server.look.timeline)
    if end is None or server.flush is None:
        return "nothing of the log is archived yet"
    if end.timeline != server.look.timeline:
        return f"the server went on to timeline {server.look.timeline}"
    return f"{sized(server.flush - end.lsn)} are not archived" if server.flush > end.lsn else ""


def log_step(
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
            facts=facts_of(draft, "lineage", f"{server.member.member}/state", f"{server.member.member}/timeline"),
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


def start_stream(draft: Draft, server: Seen, reason: str = "the log should be streamed, and nobody does") -> None:
    draft.steps.append(
        stream_step(
            draft.ask,
            server.member.site,
            server.member.member,
            server.lineage,
            reason=reason,
            needs=tuple(step.id for step in draft.steps if step.action in ("create-slot", "archive-log")),
            facts=facts_of(draft, "lineage"),
        )
    )


def end_stream(draft: Draft, server: Seen) -> None:
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
