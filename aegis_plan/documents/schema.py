"""The JSON Schema of the documents, for editors: what people may write, as the model takes it. It checks nothing."""

from __future__ import annotations

import ast
import inspect
import json
from typing import Any, get_args

from pydantic import BaseModel

from aegis_plan.documents.model import EXPERIMENTAL, Documents, Section
from aegis_plan.stores.specs import ENGINES, server_fields

FILE = "schemas/aegis-v1.schema.json"
"""Where the repository of the product keeps it."""
_ANY_SCALAR = ["string", "number", "boolean"]


def schema() -> dict[str, Any]:
    """The schema, with a description for every key that has one in the model."""
    made = _taken(Documents)
    definitions: dict[str, Any] = made["$defs"]
    servers: list[dict[str, str]] = []
    for engine in ENGINES:
        fields = server_fields(engine)
        if fields is not None:
            of_engine = _taken(fields)
            definitions.update(of_engine.pop("$defs", {}))
            name = f"{engine.capitalize()}Server"
            definitions[name] = of_engine
            servers.append({"$ref": f"#/$defs/{name}"})
    definitions["Member"]["properties"]["server"] = {
        "anyOf": servers,
        "description": "How the server runs on its host: the fields of its engine.",
    }
    definitions["Store"]["properties"]["engine"] = {
        "enum": list(ENGINES),
        "description": "The kind of database.",
    }
    _loosen(made)
    _may_be_empty(made)
    made["required"] = ["aegis"]  # `system` stands in one of several files
    # Several files are one set of documents: a schema sees one file at a time.
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "Documents of Aegis Plan",
    }


def text() -> str:
    """The schema as it stands in `FILE`."""
    return json.dumps(schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _taken(model: type[BaseModel]) -> dict[str, Any]:
    """What pydantic makes of a model, with descriptions of its fields from the texts below them."""
    made = model.model_json_schema(mode="validation")
    modules = dict.fromkeys(inspect.getmodule(kind) for kind in _models(model))
    described: dict[str, dict[str, str]] = {}
    for module in modules:
        if module is not None:
            described.update(_descriptions(inspect.getsource(module)))
    inherited = {kind.__name__: [base.__name__ for base in kind.__mro__] for kind in _models(model)}
    for name, definition in (*made.get("$defs", {}).items(), (model.__name__, made)):
        if definition.get("description", "") == (inspect.getdoc(Section) or ""):
            definition.pop("description", None)
        for field, content in definition.get("properties", {}).items():
            content.pop("title", None)
            for place in inherited.get(name, (name,)):
                if field in described.get(place, {}):
                    content["description"] = described[place][field]
                    break
    return made


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and every model below it, each once."""
    found: list[type[BaseModel]] = []
    waiting: list[Any] = [model]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind not in found:
                found.append(kind)
                waiting.extend(field.annotation for field in kind.model_fields.values())
        else:
            waiting.extend(get_args(kind))
    return found


def _descriptions(source: str) -> dict[str, dict[str, str]]:
    """Class to field to the text that stands below the field."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for before, after in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(before, ast.AnnAssign)
                and isinstance(before.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found.setdefault(node.name, {})[before.target.id] = inspect.cleandoc(after.value.value)
    return found


def _loosen(content: Any) -> None:
    """Every scalar arrives as the text that people wrote: an editor's guess of its type refuses nothing."""
    if isinstance(content, list):
        for item in content:
            _loosen(item)
    if not isinstance(content, dict):
        return
    if "const" in content or "enum" in content:
        content.pop("type", None)
    if isinstance(content.get("pattern"), str):
        content["pattern"] += r"|\{\{"  # a template, of which nobody knows what it gives
    kind = content.get("type")
    if kind == "string" and "pattern" not in content:
        content["type"] = _ANY_SCALAR
    elif kind in ("integer", "number", "boolean"):
        content["type"] = [kind, "string"]
    for key, value in content.items():
        if key not in ("default", "examples", "enum", "const", "required"):
            _loosen(value)


def _may_be_empty(made: dict[str, Any]) -> None:
    """A section whose entries are all commented out is an empty one."""
    for name, content in made["properties"].items():
        if name != "aegis":
            made["properties"][name] = {
                "anyOf": [content, {"type": "null"}],
                "description": content.get("description", f"The section '{name}'."),
            }
            if name in EXPERIMENTAL:
                made["properties"][name]["x-experimental"] = EXPERIMENTAL[name]
                made["properties"][name]["description"] = f"Experimental: {EXPERIMENTAL[name]}."
