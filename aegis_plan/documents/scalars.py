"""The scalar types of the documents: durations, sizes, percentages, cron schedules, names and secret references.

Every scalar arrives as the text that people wrote; its type comes from the model that takes it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {
    "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0,
    "second": 1.0, "seconds": 1.0, "minute": 60.0, "minutes": 60.0, "hour": 3600.0, "hours": 3600.0,
    "day": 86_400.0, "days": 86_400.0, "week": 604_800.0, "weeks": 604_800.0,
}  # fmt: skip
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_SIZES = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_LONGEST = 64
"""No number that means something is longer; a longer one would overflow."""
_LONGEST_SECONDS = 1000 * 365.25 * 86_400
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


def parse_duration(text: str) -> timedelta:
    """`15m`, `4h`, `1h30m`, `4 weeks` as a time span. Raises ValueError with what is allowed."""
    position, seconds = 0, 0.0
    if len(text) > _LONGEST:
        raise ValueError("not a duration; write a number and a unit, such as 15m, 4h, 1h30m or 4 weeks")
    while position < len(text):
        match = _DURATION.match(text, position)
        if not match or match.group(2) not in _UNITS:
            break
        seconds += float(match.group(1)) * _UNITS[match.group(2)]
        position = match.end()
    if position == 0 or position < len(text):
        raise ValueError("not a duration; write a number and a unit, such as 15m, 4h, 1h30m or 4 weeks")
    # Beyond this sums of a few could no longer be counted.
    if not seconds <= _LONGEST_SECONDS:
        raise ValueError("longer than any time span that can be counted")
    return timedelta(seconds=seconds)


def format_duration(span: timedelta) -> str:
    """The shortest exact form that `parse_duration` reads back: `4h`, `1h30m`, `0s`."""
    left, parts = round(span.total_seconds() * 1000), []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def span(seconds: float | None) -> str:
    """`4 s`, `2 min 5 s`, `1 h 10 min`, `3 d`, `unknown`: for people, rounded to what matters. Whatever tells people
    a time says it by this one, so that one time reads the same wherever it stands."""
    if seconds is None:
        return "unknown"
    if seconds <= 0:
        return "0 s"
    if seconds < 1:
        return "< 1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def parse_size(text: str) -> int:
    """`512MiB` as bytes. Raises ValueError with what is allowed."""
    match = _SIZE.fullmatch(text.strip())
    if not match or len(text) > _LONGEST:
        raise ValueError("not a size; write a number and a unit, such as 512MiB or 20GB")
    return int(float(match.group(1)) * _SIZES[match.group(2)])


def sized(count: float) -> str:
    """`1.5 GiB`: a number of bytes within a sentence."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def parse_percentage(text: str) -> float:
    """`99.9%` as 99.9. Raises ValueError with what is allowed."""
    if not text.endswith("%") or len(text) > _LONGEST:
        raise ValueError("not a percentage; write it as 99.9%")
    try:
        share = float(text[:-1])
    except ValueError:
        raise ValueError("not a percentage; write it as 99.9%") from None
    if not 0 <= share <= 100:
        raise ValueError("a percentage lies between 0% and 100%")
    return share


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str) else value


def _percentage(value: Any) -> Any:
    return parse_percentage(value) if isinstance(value, str) else value


def _flag(value: Any) -> Any:
    if isinstance(value, str):
        if value in ("true", "false"):
            return value == "true"
        raise ValueError("write true or false")
    return value


def _name(value: Any) -> Any:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or len(value) > 63:
        raise ValueError(
            "not a name; use lower-case letters, digits, '-', '_' and '.', at most 63, beginning and ending with a "
            "letter or digit"
        )
    return value


def _reason(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("write the reason, so that whoever reads it later can judge it")
    return value


def _schedule(value: Any) -> Any:
    if isinstance(value, str):
        why = _no_schedule(value)
        if why is not None:
            raise ValueError(f"not a cron schedule of five fields{why}")
    return value


@lru_cache(maxsize=1000)
def _no_schedule(text: str) -> str | None:
    """What makes a text no schedule; None for one. A thousand stores share a few schedules."""
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    if len(text) > 1000 or len(text.split()) != 5:
        return ", such as 0 2 * * 0 for Sundays at 02:00"
    try:
        CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
    except (CronSimError, ValueError, OverflowError) as error:
        return f": {error}" if isinstance(error, CronSimError) else ""
    return None


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"\d", "examples": ["15m", "4h", "4 weeks"]}),
]
Size = Annotated[int, BeforeValidator(_size), WithJsonSchema({"type": ["string", "integer"], "examples": ["512MiB"]})]
Percentage = Annotated[
    float,
    BeforeValidator(_percentage),
    PlainSerializer(lambda share: f"{share:.12g}%", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "%$", "examples": ["99.9%"]}),
]
Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]
Name = Annotated[str, BeforeValidator(_name)]
Schedule = Annotated[str, BeforeValidator(_schedule)]
Reason = Annotated[str, BeforeValidator(_reason)]
