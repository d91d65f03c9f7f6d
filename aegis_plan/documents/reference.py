"""The page of every key of the documents, made from their schema: where it stands, what it takes, what it is for. It
checks nothing and writes no file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aegis_plan.documents.model import EXPERIMENTAL, Documents
from aegis_plan.documents.schema import schema
from aegis_plan.stores.specs import ENGINES

_HEAD = """# Reference: documents

Made from the model. `aegis help documents` tells how documents are written, with examples. `NAME` is a name of your \
own; a key in **bold** has to be there. Every value may be a template (`{{ variable }}`).
"""


def page() -> str:
    """The whole page: a heading for each map, a line for each key."""
    places: dict[str, str] = {}
    _page(places)  # where each map stands is known only when all were seen
    return _page(places)


def _page(places: dict[str, str]) -> str:
    made = schema()
    definitions: dict[str, Any] = made["$defs"]
    parts = [_HEAD]
    shown: set[str] = set()
    for section, content in made["properties"].items():
        if section == "aegis":
            continue
        parts.append(f"## {section}\n")
        inner = content["anyOf"][0] if "anyOf" in content else content
        meaning = content.get("description", "")
        if section in EXPERIMENTAL:
            meaning = f"Experimental: {EXPERIMENTAL[section]}."
        if meaning and meaning != f"The section '{section}'.":
            parts.append(f"{meaning}\n")
        below = list(_map(section, inner, definitions, shown, places))
        parts.extend(below or [f"It takes {_takes(inner, places)}.\n"])
    return "\n".join(parts)


def _map(
    path: str, content: dict[str, Any], definitions: dict[str, Any], shown: set[str], places: dict[str, str]
) -> Iterator[str]:
    """The maps below a path, each once: what comes again is named by where it stood first."""
    if isinstance(content.get("additionalProperties"), dict):
        yield from _map(f"{path}.NAME", content["additionalProperties"], definitions, shown, places)
        return
    variants = [part for key in ("anyOf", "oneOf") for part in content.get(key, ()) if "$ref" in part]
    if len(variants) > 1 or "oneOf" in content:
        for variant in variants:
            name = variant["$ref"].rpartition("/")[2]
            kind = definitions[name]["properties"].get("kind", {}).get("const")
            engine = _engine(name)
            label = f" (kind: {kind})" if kind else f" (engine: {engine})" if engine else ""
            yield from _one(path, name, definitions, shown, places, label)
        return
    reference = content.get("$ref") or (variants[0]["$ref"] if variants else None)
    if reference is not None:
        yield from _one(path, reference.rpartition("/")[2], definitions, shown, places)
    items = content.get("items")
    if isinstance(items, dict):
        yield from _map(f"{path}[]", items, definitions, shown, places)


def _engine(definition: str) -> str:
    return next((engine for engine in ENGINES if definition == f"{engine.capitalize()}Server"), "")


def _one(
    path: str, name: str, definitions: dict[str, Any], shown: set[str], places: dict[str, str], label: str = ""
) -> Iterator[str]:
    if name in shown:
        return
    shown.add(name)
    places[name] = path
    made = definitions[name]
    yield f"### {path}{label}\n"
    if made.get("description"):
        yield f"{_line(made['description'])}\n"
    yield "| key | takes | default | what it is |"
    yield "|---|---|---|---|"
    needed = made.get("required", ())
    for key, content in made.get("properties", {}).items():
        shape = f"**{key}**" if key in needed else f"`{key}`"
        takes = _takes(content, places)
        yield f"| {shape} | {takes} | {_default(content)} | {_line(content.get('description', ''))} |"
    yield ""
    for key, content in made.get("properties", {}).items():
        yield from _map(f"{path}.{key}", content, definitions, shown, places)


def _takes(content: dict[str, Any], places: dict[str, str]) -> str:
    if "const" in content:
        return f"`{content['const']}`"
    if "enum" in content:
        return ", ".join(f"`{word}`" for word in content["enum"])
    if "$ref" in content:
        return f"a map: `{places.get(content['$ref'].rpartition('/')[2], '')}`"
    choices = [part for key in ("anyOf", "oneOf") for part in content.get(key, ()) if part.get("type") != "null"]
    if choices:
        return " or ".join(dict.fromkeys(_takes(part, places) for part in choices))
    if content.get("examples"):
        return "such as " + ", ".join(f"`{example}`" for example in content["examples"])
    kind = content.get("type")
    kinds: list[Any] = kind if isinstance(kind, list) else [kind]
    if "array" in kinds:
        inner = _takes(content.get("items", {}), places)
        return "a list of texts" if inner == "a text" else f"a list: {inner}"
    if "object" in kinds:
        value = content.get("additionalProperties")
        return f"names, each with {_takes(value, places)}" if isinstance(value, dict) else "a map"
    if "boolean" in kinds and "number" not in kinds:
        return "`true` or `false`"
    if "integer" in kinds:
        least, most = content.get("minimum"), content.get("maximum")
        bounds = f" from {least}" if least is not None else ""
        return "a whole number" + bounds + (f" to {most}" if most is not None else "")
    return "a text"


def _default(content: dict[str, Any]) -> str:
    value = content.get("default")
    if value is None or value in ("", [], {}) or isinstance(value, dict):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(map(str, value)) if isinstance(value, list) else value}`"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def keys() -> set[str]:
    """Every key of the model, as the page has to name it."""
    made = schema()
    found = {section for section in made["properties"] if section != "aegis"}
    for definition in made["$defs"].values():
        found.update(definition.get("properties", {}))
    assert set(Documents.model_fields) - {"aegis"} <= found
    return found
