"""How long steps took before, from the journals of a site. It reads, and counts only attempts that succeeded."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path

from aegis_plan.errors import AegisError
from aegis_plan.journal.entry import Entry
from aegis_plan.journal.file import NAME, read

NEWEST = 50
"""Runs that are looked at, newest first: what is older says little of tomorrow."""


def past(folder: Path) -> list[tuple[str, str, int, float, int | None]]:
    """Action, subject, how often, mean seconds and mean bytes (where bytes were told), sorted, from the runs below
    `folder`. A journal that cannot be trusted is not counted."""
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    try:
        runs = sorted((path.parent for path in folder.glob(f"*/{NAME}")), reverse=True)[:NEWEST]
    except OSError:
        return []
    for run in runs:
        try:
            found = _done(read(run))
        except (AegisError, KeyError, TypeError, ValueError, AttributeError):
            continue
        for key, took, size in found:
            seconds[key].append(took)
            if size is not None:
                sizes[key].append(size)
    return [
        (action, subject, len(took), sum(took) / len(took), sum(many) // len(many) if (many := sizes[key]) else None)
        for key in sorted(seconds)
        for (action, subject), took in [(key, seconds[key])]
    ]


def _done(entries: list[Entry]) -> list[tuple[tuple[str, str], float, int | None]]:
    """Action and subject, seconds and bytes of each attempt that succeeded."""
    what: dict[str, tuple[str, str]] = {}
    found = []
    for entry in entries:
        if entry.kind == "sent" and entry.data["verb"] == "act":
            what[entry.data["key"]] = (entry.data["action"], entry.data.get("subject", ""))
        elif entry.kind == "outcome" and entry.data["key"] in what:
            outcome = entry.data["outcome"]
            if outcome["verdict"] != "done" or not outcome.get("begun") or not outcome.get("ended"):
                continue
            took = datetime.fromisoformat(outcome["ended"]) - datetime.fromisoformat(outcome["begun"])
            size = (outcome.get("outputs") or {}).get("bytes")
            counts = isinstance(size, int) and not isinstance(size, bool)
            found.append((what[entry.data["key"]], max(0.0, took.total_seconds()), size if counts else None))
    return found
