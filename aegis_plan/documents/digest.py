"""The one form in which models are written and compared: canonical JSON. It never writes a file."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel


def canonical(model: BaseModel) -> bytes:
    """JSON of the model with sorted keys, without spaces, in UTF-8. Same model, same bytes."""
    data = model.model_dump(mode="json")
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(model: BaseModel) -> str:
    """SHA-256 of `canonical` as hex."""
    return hashlib.sha256(canonical(model)).hexdigest()
