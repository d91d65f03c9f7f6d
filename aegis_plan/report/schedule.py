"""What is due and what was, as text and as data. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from aegis_plan.catalog.schedule_record import ScheduleRecord
from aegis_plan.clock import stamp
from aegis_plan.documents.model import Documents
from aegis_plan.documents.scalars import span
from aegis_plan.report.terminal import moment, since

if TYPE_CHECKING:
    from rich.console import Console

    from aegis_plan.repositories.schedule_history import History
    from aegis_plan.schedule.job import Standing

FORMAT = 1


def state(one: Standing) -> tuple[str, str]:
    """A word for how a job stands, and its style."""
    if one.last is None:
        return ("never done", "bad") if one.seen else ("unknown", "warn")
    if one.missed:
        return f"overdue, {one.missed} missed", "bad"
    return ("due", "warn") if one.moments else ("kept", "good")


def list_data(
    documents: Documents, standings: Sequence[Standing], now: datetime, streamed: Sequence[str]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "at": stamp(now),
        "timezone": documents.system.timezone,
        "jitter_seconds": documents.schedule.jitter.total_seconds(),
        "streamed": list(streamed),
        "jobs": [
            {
                "store": one.job.store,
                "aspect": one.job.aspect,
                "kind": one.job.kind,
                "schedule": one.job.schedule,
                "state": state(one)[0],
                "due": one.due,
                "due_since": stamp(one.moments[0]) if one.moments else None,
                "missed": one.missed,
                "last": stamp(one.last) if one.last is not None else None,
                "next": stamp(one.next) if one.next is not None else None,
                "seen": one.seen,
            }
            for one in standings
        ],
    }


def show_list(
    documents: Documents, standings: Sequence[Standing], now: datetime, streamed: Sequence[str], out: Console
) -> None:
    from rich.table import Table
    from rich.text import Text

    zone = ZoneInfo(documents.system.timezone)
    if not standings and not streamed:
        out.print("No store declares a schedule.")
        return
    table = Table(box=None, pad_edge=False, header_style="quiet")
    for title in ("store", "kind", "schedule", "state", "last done", "next"):
        table.add_column(title, overflow="fold")
    for one in standings:
        word, style = state(one)
        table.add_row(
            Text(one.job.store, style="name"),
            one.job.kind,
            one.job.schedule,
            Text(word, style=style),
            f"{span(since(one.last, now))} ago" if one.last is not None else "never seen",
            moment(one.next, zone) if one.next is not None else "never",
        )
    out.print(table)
    for name in streamed:
        out.print(f"The log of {name} is streamed by 'aegis site run'.", soft_wrap=True)
    unseen = sorted({one.job.store for one in standings if not one.seen})
    if unseen:
        out.print(
            f"Not every repository of {', '.join(unseen)} could be read: there may be newer backups than these.",
            style="warn",
            soft_wrap=True,
        )
    if any(one.job.kind == "log" and one.due and one.last is not None for one in standings):
        out.print("The log of a server that writes nothing grows old and misses nothing.", style="quiet")


def history_data(history: History) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "records": [
            {**one.model_dump(mode="json"), "missed": one.missed, "late_seconds": one.late.total_seconds()}
            for one in history.records
        ],
        "wrong": history.wrong,
        "unseen": history.unseen,
    }


STYLES = {"done": "good", "nothing": "quiet", "degraded": "warn", "locked": "warn", "stopped": "warn"}


def show_history(documents: Documents, history: History, out: Console) -> None:
    from rich.text import Text

    zone = ZoneInfo(documents.system.timezone)
    if not history.records:
        out.print("There are no records of due runs in that time.")
    for one in history.records:
        out.print(
            Text(moment(one.begun, zone) + "  ")
            .append(f"{one.store}/{one.aspect}", style="name")
            .append("  ")
            .append(one.verdict, style=STYLES.get(one.verdict, "bad"))
            .append(f"  {one.run}" if one.run else "")
        )
        for line in _details(one):
            out.print(f"    {line}", style="quiet", soft_wrap=True)
    for name, reason in history.unseen.items():
        out.print(f"{name} could not be read: {reason}", style="warn", soft_wrap=True)
    for wrong in history.wrong:
        out.print(f"not believed: {wrong}", style="bad", soft_wrap=True)


def _details(one: ScheduleRecord) -> list[str]:
    lines = []
    for due in one.due:
        words = f"{due.kind} due since {due.since:%Y-%m-%d %H:%M} UTC"
        if due.missed:
            words += f", {due.missed} moments missed and made up by this run"
        lines.append(words)
    if one.why:
        lines.append(one.why + (f" ({one.code})" if one.code else ""))
    if one.unfinished and one.run not in one.unfinished:
        lines.append(f"found killed before: {', '.join(one.unfinished)}")
    lines += [f"{notice.to} was not reached: {notice.why}" for notice in one.notices if not notice.ok]
    return lines
