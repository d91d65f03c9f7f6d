"""The JSON Schemas of what `--json` writes: events, and the document of a saved plan. They are made from the very types
that are written, and say nothing of unknown keys, since a minor version may add some.
"""

from __future__ import annotations

import json
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from aegis_plan.plan.plan import Forecast, Plan, PlanFinding
from aegis_plan.plan.step import Step
from aegis_plan.report.events import DOCUMENT, VERSION
from aegis_plan.run.events import EventKind

EVENTS_FILE = "schemas/aegis-events-1.schema.json"
PLAN_FILE = "schemas/aegis-plan-1.schema.json"
"""Where the repository of the product keeps them; the number is the major version."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Quiet(GenerateJsonSchema):
    """Durations as people write them are no JSON defaults; that is nothing to warn of."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012
        "skipped-choice",
        "non-serializable-default",
    }


def _of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(mode="serialization", schema_generator=_Quiet)


def events_text() -> str:
    """The schema of one line of events."""
    definitions: dict[str, Any] = {}
    for model in (PlanFinding, Step, Forecast):
        made = _of(model)
        definitions |= made.pop("$defs", {})
        definitions[model.__name__] = made
    text, number = {"type": "string"}, {"type": "number"}
    counts = {name: {"type": "integer"} for name in ("add", "change", "replace", "remove", "look")}
    kinds: dict[str, dict[str, Any]] = {
        "version": _object({"aegis": text, "events": {"type": "string", "pattern": _major(VERSION)}}),
        "finding": {"$ref": "#/$defs/PlanFinding"},
        "planned_step": _object({"step": {"$ref": "#/$defs/Step"}}),
        "forecast": {"$ref": "#/$defs/Forecast"},
        "summary": _object(
            {
                "counts": _object(counts),
                "expected_seconds": number,
                "unknown_steps": {"type": "integer"},
                "blocked": {"type": "boolean"},
                "breached": {"type": "boolean"},
                "digest": text,
            }
        ),
        "error": _object({"code": text, "summary": text}),
        "result": _object({"run": text, "verdict": text, "exit_code": {"type": "integer"}}),
    }
    for kind in get_args(EventKind):
        needs_step = kind in ("step-begun", "step-settled", "progress", "retry")
        kinds[kind] = {"properties": {"step": text}, "required": ["step"] if needs_step else []}
    return _text(
        {
            "$schema": _DIALECT,
            "title": "One line of what aegis writes with --json",
            "description": f"Version {VERSION}, which the first line names. Minor: ignore types and keys that you do "
            "not know. Major: stop reading.",
            **_object({"type": text, "@timestamp": {"type": "string", "format": "date-time"}, "@message": text}),
            "allOf": [
                {"if": {"properties": {"type": {"const": kind}}}, "then": wanted} for kind, wanted in kinds.items()
            ],
            "$defs": definitions,
        }
    )


def plan_text() -> str:
    """The schema of the document that `aegis show --json` writes."""
    made = _of(Plan)
    definitions = made.pop("$defs", {})
    definitions["Plan"] = made
    return _text(
        {
            "$schema": _DIALECT,
            "title": "A saved plan as aegis show --json writes it",
            "description": f"Version {DOCUMENT}. Minor: ignore keys that you do not know. Major: stop reading.",
            **_object(
                {
                    "format": {"const": 1},
                    "format_version": {"type": "string", "pattern": _major(DOCUMENT)},
                    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                    "plan": {"$ref": "#/$defs/Plan"},
                }
            ),
            "$defs": definitions,
        }
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _major(version: str) -> str:
    return rf"^{version.split('.')[0]}\.[0-9]+$"


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(_open(schema), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _open(node: Any) -> Any:
    """Without what forbids keys that a later minor version adds."""
    if isinstance(node, list):
        return [_open(one) for one in node]
    if isinstance(node, dict):
        return {key: _open(one) for key, one in node.items() if (key, one) != ("additionalProperties", False)}
    return node
