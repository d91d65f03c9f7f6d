"""Canonical JSON: the one byte form that is signed and digested. What JSON cannot carry is an error, never a guess."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def _pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(found)
    if len(made) != len(found):
        raise ValueError("a name stands twice in one object")
    return made


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


# Made once: a catalog has tens of thousands of records.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_refuse)


def canonical(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8. Raises ValueError for numbers that JSON does not know."""
    return _ENCODER.encode(value).encode()


def digest(value: Any) -> str:
    """SHA-256, hex, of the canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


def parse(data: bytes) -> Any:
    """JSON in which no name stands twice in one object. Raises ValueError."""
    try:
        return _DECODER.decode(data.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None
