"""How long steps took before, from the journals of a site. It reads, and counts only attempts that succeeded."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from aegis_plan.errors import AegisError
from aegis_plan.journal.entry import Entry
from aegis_plan.journal.file import NAME, read

NEWEST = 50
"""Runs that are looked at, newest first: what is older says little of tomorrow."""

ENOUGH = 20
"""With fewer cases than this the longest of them says more of what may happen than a percentile."""


class Past(NamedTuple):
    """How long one action on one subject took before, in seconds."""

    action: str
    subject: str
    times: int
    mean: float
    p50: float
    p95: float
    bytes: int | None
    """Mean, where bytes were told."""


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed, by rank; of fewer than `ENOUGH` the longest."""
    line = sorted(values)
    return line[-1] if len(line) < ENOUGH else line[math.ceil(0.95 * len(line)) - 1]


def past(folder: Path) -> list[Past]:
    """How long everything took, sorted by action and subject, from the runs below `folder`. A journal that cannot be
    trusted is not counted."""
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
        Past(
            action=action,
            subject=subject,
            times=len(took),
            mean=sum(took) / len(took),
            p50=statistics.median(took),
            p95=p95(took),
            bytes=sum(many) // len(many) if (many := sizes[action, subject]) else None,
        )
        for (action, subject), took in sorted(seconds.items())
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
