"""The plan file: one canonical JSON document with its own digest. It carries everything but secrets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel, ValidationError

from aegis_plan.documents.digest import canonical, text
from aegis_plan.errors import AegisError, StaleError
from aegis_plan.plan.plan import FORMAT, Plan


def digest(plan: Plan) -> str:
    """SHA-256, hex, of the plan's canonical JSON."""
    return _hash(_pieces(plan))


def pieces(plan: Plan) -> tuple[str, list[bytes]]:
    """The digest, and the plan file in pieces: a large plan in one piece takes twice its memory."""
    body = list(_pieces(plan))
    digest = _hash(body)
    return digest, [b'{"digest":"' + digest.encode() + b'","plan":', *body, b"}\n"]


def _hash(body: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for piece in body:
        found.update(piece)
    return found.hexdigest()


def _pieces(plan: Plan) -> Iterator[bytes]:
    """`canonical` of the plan, without ever making it one tree of dictionaries."""
    parts: dict[str, bytes | Iterable[bytes]] = {
        "steps": _list(canonical(step) for step in plan.steps),
        "snapshot": _object(
            {
                **_fields(plan.snapshot, {"stores"}),
                "stores": _object({name: canonical(look) for name, look in plan.snapshot.stores.items()}),
            }
        ),
        **_fields(plan, {"steps", "snapshot"}),
    }
    yield from _object(parts)


def _list(items: Iterable[bytes]) -> Iterator[bytes]:
    lead = b"["
    for item in items:
        yield lead + item
        lead = b","
    yield b"]" if lead == b"," else b"[]"


def _fields(model: BaseModel, without: set[str]) -> dict[str, bytes]:
    found = model.model_dump(mode="json", exclude=without)
    return {name: text(value).encode() for name, value in found.items()}


def _object(parts: Mapping[str, bytes | Iterable[bytes]]) -> Iterator[bytes]:
    lead = b"{"
    for name in sorted(parts):
        part = parts[name]
        yield lead + text(name).encode() + b":"
        yield from (part,) if isinstance(part, bytes) else part
        lead = b","
    yield b"}" if lead == b"," else b"{}"


def write(plan: Plan) -> bytes:
    """The bytes of the plan file. Same plan, same bytes."""
    return b"".join(pieces(plan)[1])


def read(data: bytes) -> tuple[Plan, str]:
    """The plan and its digest.

    Raises AegisError `plan-unreadable` or `format-too-new`, and StaleError `plan-altered` when it is not the plan
    that was written."""
    try:
        outer = json.loads(data)
        body, named = outer["plan"], outer["digest"]
        if not isinstance(body, dict) or not isinstance(named, str):
            raise TypeError
        oldest = body["oldest_reader"]
        if not isinstance(oldest, int):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AegisError(
            "plan-unreadable",
            "not a plan file",
            "it is not JSON with a plan and its digest",
            "make one with 'aegis plan --out FILE'",
        ) from None
    if oldest > FORMAT:
        raise AegisError(
            "format-too-new",
            "written by a newer version of this program",
            f"the plan asks for a reader of format {oldest}, this one reads up to {FORMAT}",
            "use the version that made it, or make the plan again with this one",
        )
    form = text(body).encode("utf-8", "replace")
    if hashlib.sha256(form).hexdigest() != named:
        raise StaleError(
            "plan-altered",
            "the plan file was changed after it was made",
            "its digest does not fit its content",
            "make the plan again; a plan is never edited",
        )
    try:
        return Plan.model_validate(body), named
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise AegisError(
            "plan-unreadable",
            "not a plan file",
            f"{'.'.join(str(part) for part in first['loc'][:6])}: {first['msg']}",
            "make one with 'aegis plan --out FILE'",
        ) from None
