"""Time spans and lists as findings write them. Unlike `scalars.span` it
rounds nothing: sums have to add up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta


def say(span: timedelta) -> str:
    """`24 h 20 min`, `15 min`, `10 days`: hours up to two days, then days."""
    left = round(span.total_seconds() * 1000)
    if left <= 0:
        return "0 s"
    parts = []
    units = [("day", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)]
    for unit, size in units if left > 48 * 3_600_000 else units[1:]:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}" if unit != "day" else f"{count} day{'s' if count > 1 else ''}")
    return " ".join(parts)


def listed(names: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, end = names
    return f"{', '.join(first)} {last} {end}" if first else end
