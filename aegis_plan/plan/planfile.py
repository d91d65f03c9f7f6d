"""The plan file: one canonical JSON document with its own digest. It carries everything but secrets."""

from __future__ import annotations

import hashlib
import json

from pydantic import ValidationError

from aegis_plan.documents.digest import canonical
from aegis_plan.errors import AegisError, StaleError
from aegis_plan.plan.plan import FORMAT, Plan


def digest(plan: Plan) -> str:
    """SHA-256, hex, of the plan's canonical JSON."""
    return hashlib.sha256(canonical(plan)).hexdigest()


def write(plan: Plan) -> bytes:
    """The bytes of the plan file. Same plan, same bytes."""
    body = canonical(plan)
    return b'{"digest":"' + hashlib.sha256(body).hexdigest().encode() + b'","plan":' + body + b"}\n"


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
    form = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
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
