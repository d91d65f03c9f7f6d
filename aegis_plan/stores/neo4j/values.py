"""Property values as text and back: Cypher takes apart what has no plain form, and puts it together again.

A plain value is written as JSON has it; every other one as an object with its type, so that nothing is ever guessed.
A type that is not known here is refused, never turned into text.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

from aegis_plan.errors import AegisError

_PLAIN = ("STRING", "INTEGER", "FLOAT", "BOOLEAN")
PLAIN = [
    f"{name} NOT NULL"
    for name in (*_PLAIN, "LIST<NOTHING>", *(f"LIST<{name} NOT NULL>" for name in _PLAIN))
]  # fmt: skip
"""Types that Bolt carries as they are."""
_APART = (
    "DATE",
    "LOCAL TIME",
    "ZONED TIME",
    "LOCAL DATETIME",
    "ZONED DATETIME",
    "DURATION",
    "POINT",
)
_NAMES = {
    **{f"{name} NOT NULL": name.lower() for name in _APART},
    **{f"LIST<{name} NOT NULL> NOT NULL": f"list of {name.lower()}" for name in _APART},
}


def _apart(value: str) -> str:
    """A value of Cypher in pieces that the driver need not understand: its own types end at the year 9999."""
    return (
        f"CASE valueType({value})"
        f" WHEN 'ZONED DATETIME NOT NULL' THEN [{value}.epochSeconds, {value}.nanosecond, {value}.timezone]"
        f" WHEN 'DURATION NOT NULL' THEN"
        f" [{value}.months, {value}.days, {value}.seconds, {value}.nanosecondsOfSecond]"
        f" WHEN 'POINT NOT NULL' THEN CASE WHEN {value}.srid IN [4979, 9157]"
        f" THEN [{value}.srid, {value}.x, {value}.y, {value}.z] ELSE [{value}.srid, {value}.x, {value}.y] END"
        f" ELSE toString({value}) END"
    )


PROPERTIES = (
    "[t IN ts | [t[0], CASE WHEN t[1] IN $plain THEN null ELSE t[1] END, CASE WHEN t[1] IN $plain THEN p[t[0]]"
    f" WHEN t[1] STARTS WITH 'LIST' THEN [x IN p[t[0]] | {_apart('x')}] ELSE {_apart('p[t[0]]')} END]]"
)
"""Cypher: the properties of the map `p`, as `[name, type or null, value]`; `ts` is what `TYPES` gives."""
TYPES = "[k IN keys(p) | [k, valueType(p[k])]] AS ts"


def to_json(rows: list[list[Any]]) -> dict[str, Any]:
    """Properties as Cypher gave them. Raises AegisError `neo4j-type-unknown`."""
    found: dict[str, Any] = {}
    for name, kind, value in rows:
        if kind is not None:
            if kind not in _NAMES:
                raise AegisError(
                    "neo4j-type-unknown",
                    "a property has a type that an export cannot keep",
                    kind.removesuffix(" NOT NULL"),
                    "take a dump, or a backup by neo4j-admin, by `backup_by` of the member's server",
                )
            found[name] = {_NAMES[kind]: value}
        elif type(value) is float and not math.isfinite(value):
            found[name] = {"float": repr(value)}
        elif isinstance(value, bytes | bytearray):
            found[name] = {"bytes": base64.b64encode(value).decode()}
        elif type(value) is list and any(type(one) is float and not math.isfinite(one) for one in value):
            found[name] = {"list of float": [repr(one) for one in value]}
        else:
            found[name] = value
    return found


def dump(value: Any) -> str:
    """The one text of a value, whatever order its properties had."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def split(properties: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[tuple[str, str], ...], list[Any]]:
    """What Bolt carries as it is, and name, type and pieces of what Cypher has to put together."""
    plain: dict[str, Any] = {}
    shape: list[tuple[str, str]] = []
    pieces: list[Any] = []
    for name, value in properties.items():
        if type(value) is not dict:
            plain[name] = value
            continue
        ((kind, inner),) = value.items()
        if kind == "float":
            plain[name] = float(inner)
        elif kind == "list of float":
            plain[name] = [float(one) for one in inner]
        elif kind == "bytes":
            plain[name] = base64.b64decode(inner)
        else:
            sample = inner[0] if kind.startswith("list of ") else inner
            shape.append((name, f"{kind}/{len(sample)}" if "point" in kind else kind))
            pieces.append(inner)
    return plain, tuple(shape), pieces


def together(kind: str, value: str) -> str:
    """Cypher that makes a value of its pieces."""
    if kind.startswith("list of "):
        return f"[x IN {value} | {together(kind.removeprefix('list of '), 'x')}]"
    if kind == "zoned datetime":
        return f"datetime({{epochSeconds: {value}[0], nanosecond: {value}[1], timezone: {value}[2]}})"
    if kind == "duration":
        return f"duration({{months: {value}[0], days: {value}[1], seconds: {value}[2], nanoseconds: {value}[3]}})"
    if kind == "point/3":
        return f"point({{srid: {value}[0], x: {value}[1], y: {value}[2]}})"
    if kind == "point/4":
        return f"point({{srid: {value}[0], x: {value}[1], y: {value}[2], z: {value}[3]}})"
    made = {"date": "date", "local time": "localtime", "zoned time": "time", "local datetime": "localdatetime"}
    return f"{made[kind]}({value})"


def quoted(name: str) -> str:
    """A name as Cypher reads it back. A backslash would begin an escape of a character, so it is written as one."""
    return "`" + name.replace("\\", "\\u005C").replace("`", "``") + "`"
