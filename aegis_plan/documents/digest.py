"""The one form in which models are written and compared: canonical JSON. It never writes a file."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def canonical(model: BaseModel) -> bytes:
    """JSON of the model with sorted keys, without spaces, in UTF-8. Same model, same bytes."""
    return text(model.model_dump(mode="json")).encode()


def text(data: Any) -> str:
    """The same form of what a model was dumped to, or of a part of it."""
    return _ENCODER.encode(data)


# Made once: a plan has tens of thousands of steps.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(model: BaseModel) -> str:
    """SHA-256 of `canonical` as hex."""
    return hashlib.sha256(canonical(model)).hexdigest()
