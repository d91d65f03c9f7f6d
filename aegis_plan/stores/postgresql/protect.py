"""What brings the protection of a PostgreSQL store to what is declared, and one backup asked for by hand. Pure."""

from __future__ import annotations

from typing import Literal

from aegis_plan.catalog.due import ahead, due_since
from aegis_plan.catalog.record import SetRecord
from aegis_plan.documents.scalars import span
from aegis_plan.observe.snapshot import store_facts
from aegis_plan.plan.step import new_step
from aegis_plan.stores.contract import Ask, Recipe
from aegis_plan.stores.copies import record_digest
from aegis_plan.stores.postgresql.chains import Chain, LineageArchive, archive, set_timeline
from aegis_plan.stores.postgresql.draft import Draft, facts_of, fit_to_back_up, server_to_read
from aegis_plan.stores.postgresql.facts import (
    Seen,
    estimate,
    sent_along,
)
from aegis_plan.stores.postgresql.lineages import told
from aegis_plan.stores.postgresql.log_steps import end_stream, log_step, log_steps, slot_step
from aegis_plan.stores.postgresql.model import FIRST_INCREMENTAL, BackupParams
from aegis_plan.stores.problem import problem

CHAIN_CAP = 7
"""Sets in a chain, the full among them; a longer one restores slowly and hangs on more objects."""


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
    server = server_to_read(draft)
    if server is None or not fit_to_back_up(draft, server):
        return draft.recipe()
    if draft.backup.incremental is not None and (lacking := _lacking(server)):
        draft.find(
            "note",
            "incremental-by-pages",
            "each incremental of this store reads the whole server",
            f"{ask.name}: {lacking}; all of it is sent, and only the pages that changed are stored",
            "'aegis help postgresql' says what an incremental of the server's own needs",
        )
    draft.findings.extend(told(draft, server))
    one = draft.lineages.get(server.lineage or "")
    chain = _newest(draft, one)
    logged = draft.backup.log is not None
    hole = slot_step(draft, server, one, chain) if logged else ""
    full = _full(draft, server, one, chain, hole)
    if full:
        _backup_step(draft, server, "full", full, None)
    elif draft.backup.incremental is not None and chain is not None:
        _incremental(draft, server, chain)
    if logged:
        log_steps(draft, server, one, chain, hole)
    elif draft.streamed is not None:
        end_stream(draft, server)
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
    server = server_to_read(draft)
    if server is None or not fit_to_back_up(draft, server):
        return draft.recipe()
    one = draft.lineages.get(server.lineage or "")
    chain = one.newest if one is not None else None
    hole = slot_step(draft, server, one, chain) if declared.log is not None or method == "log" else ""
    if method == "log":
        if draft.streamed is not None:
            draft.find("note", "log-is-streamed", "the log is streamed already", f"{ask.name}: nothing to do by hand")
        else:
            log_step(draft, server, one, chain, hole, "asked for")
        return draft.recipe()
    if method == "full":
        _backup_step(draft, server, "full", "asked for", None, anyway=True)
    else:
        why = hole or _why_full(server, chain)
        if why or chain is None:
            _backup_step(draft, server, "full", f"an incremental was asked for, but {why}", None, why_full=why)
        else:
            _backup_step(draft, server, "incremental", "asked for", chain.last)
    return draft.recipe()


def _newest(draft: Draft, one: LineageArchive | None) -> Chain | None:
    """The chain of the newest set that is not dated later than now: with a clock that was ahead nothing would be due
    until that moment."""
    now = draft.ask.now
    found = [chain for chain in one.chains if not ahead(chain.last.begun, now)] if one is not None else []
    return max(found, key=lambda chain: (chain.last.not_after, chain.last.id), default=None)


def _full(draft: Draft, server: Seen, one: LineageArchive | None, chain: Chain | None, hole: str) -> str:
    """Why a full is needed now, or nothing."""
    if chain is None:
        if one is not None and one.chains:
            return "each set is dated later than now: a clock was ahead"
        if one is not None and one.broken:
            return f"no set can be read whole: {sorted(one.broken.values())[0]}"
        if draft.lineages:
            return "the server has a new history, and no set is of it"
        return "no backup is seen" if draft.ask.look.shelf.unseen else "there is no backup yet"
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
    fulls = [other.sets[0].begun for other in (one.chains if one else [])]
    newest_full = max(chain.sets[0].begun, *(begun for begun in fulls if not ahead(begun, draft.ask.now)))
    since = due_since(declared.schedule, draft.ask.documents.system.timezone, newest_full, draft.ask.now)
    if since is None:
        return ""
    overdue, old = (draft.ask.now - since).total_seconds(), (draft.ask.now - newest_full).total_seconds()
    return f"due for {span(overdue)}; the last full is {span(old)} old"


def _why_full(server: Seen, chain: Chain | None) -> str:
    """Why an incremental cannot be taken, or nothing."""
    look = server.look
    if chain is None:
        return "there is no full to build on"
    if look.timeline is not None and set_timeline(chain.last) != look.timeline:
        return f"the server went on to timeline {look.timeline} since the newest set"
    if (lacking := _lacking(server)) and not has_pages(chain.last):
        return f"{lacking}, and the set before holds no hashes of its pages"
    if len(chain.sets) >= CHAIN_CAP:
        return f"the chain has {len(chain.sets)} sets already"
    return ""


def has_pages(record: SetRecord) -> bool:
    """Whether an incremental by pages can build on a set."""
    return any(stored.name.partition(".")[0] == "pages" for stored in record.objects)


def _lacking(server: Seen) -> str:
    """What keeps the server from ever giving an incremental of its own, or nothing."""
    look = server.look
    if look.version is not None and look.version < FIRST_INCREMENTAL:
        return f"PostgreSQL {look.version // 10_000} takes no incremental backups, 17 is the first that does"
    if look.summarize_wal is False:
        return "the server does not summarize its log (summarize_wal is off)"
    if look.data_checksums is False and look.wal_log_hints is False:
        return "the server has neither data checksums nor wal_log_hints, without which an incremental may miss changes"
    return ""


def _incremental(draft: Draft, server: Seen, chain: Chain) -> None:
    declared = draft.backup.incremental
    if declared is None or declared.schedule is None:
        return
    now = draft.ask.now
    since = due_since(declared.schedule, draft.ask.documents.system.timezone, chain.last.begun, now)
    if since is None:
        return
    due = f"due for {span((now - since).total_seconds())}"
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
    anyway: bool = False,
) -> None:
    """`anyway`: also when another set was made meanwhile."""
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
            facts=facts_of(
                draft, "lineage", f"{member}/state", f"{member}/timeline", *(() if anyway else ("newest-set",))
            ),
            changes=(f"{ask.name}/newest-set",),
            estimate=estimate(ask, "backup", server.look.size_bytes if method == "full" else None),
        )
    )
