"""What is made from the code is current, and the schema takes what people write."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aegis_plan.cli.generated import files
from aegis_plan.documents import reference, schema

ROOT = Path(__file__).parent.parent
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
CHECKED = {"$ref", "anyOf", "oneOf", "type", "enum", "const", "pattern", "minimum", "maximum", "required"} | {
    "properties", "additionalProperties", "propertyNames", "items", "minItems"
}  # fmt: skip
SILENT = {"title", "description", "default", "examples", "$defs", "$schema", "$id", "discriminator", "x-experimental"}


def refusals(value: Any, wanted: dict[str, Any], whole: dict[str, Any], path: str = "") -> list[str]:
    """Where a value does not fit: the part of JSON Schema that our schema uses, and no keyword that we do not check."""
    assert not set(wanted) - CHECKED - SILENT, f"a keyword that this check does not know: {set(wanted)}"
    found: list[str] = []
    if "$ref" in wanted:
        found += refusals(value, whole["$defs"][wanted["$ref"].removeprefix("#/$defs/")], whole, path)
    for several in ("anyOf", "oneOf"):
        if several in wanted:
            tries = [refusals(value, variant, whole, path) for variant in wanted[several]]
            if all(tries):
                found += min(tries, key=len)
    kinds = wanted.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(
        isinstance(value, TYPES[kind]) and (kind in ("boolean",) or not isinstance(value, bool)) for kind in kinds
    ):
        return [*found, f"{path}: not {kinds}"]
    if "enum" in wanted and value not in wanted["enum"]:
        found.append(f"{path}: not one of {wanted['enum']}")
    if "const" in wanted and value != wanted["const"]:
        found.append(f"{path}: not {wanted['const']}")
    if isinstance(value, str) and "pattern" in wanted and not re.search(wanted["pattern"], value):
        found.append(f"{path}: not {wanted['pattern']}")
    if isinstance(value, int) and not wanted.get("minimum", value) <= value <= wanted.get("maximum", value):
        found.append(f"{path}: out of range")
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += refusals(item, wanted.get("items", {}), whole, f"{path}/{index}")
    if isinstance(value, dict):
        found += [f"{path}: {key} is missing" for key in wanted.get("required", []) if key not in value]
        for key, item in value.items():
            known = wanted.get("properties", {})
            rest = wanted.get("additionalProperties", True)
            if str(key) in known:
                found += refusals(item, known[str(key)], whole, f"{path}/{key}")
            elif rest is False:
                found.append(f"{path}: {key} is unknown")
            elif isinstance(rest, dict):
                found += refusals(item, rest, whole, f"{path}/{key}")
    return found


@pytest.mark.parametrize("name", sorted(files()))
def test_what_is_made_from_the_code_is_current(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == files()[name](), "run: aegis schema --write"


@pytest.mark.parametrize("path", sorted((ROOT / "plans").rglob("*.yaml")), ids=lambda path: path.name)
def test_the_plans_fit_the_schema(path: Path) -> None:
    made = schema.schema()
    for document in YAML(typ="safe").load_all(path.read_text(encoding="utf-8")):
        assert refusals(document, made, made) == []


@pytest.mark.parametrize(
    "text",
    [
        "aegis: v1\nsystem: {name: x, objectives: {rto: 4h, availability: 99.9%}}",
        "aegis: v1\nrepositories: {a: {kind: s3, bucket: b, part_size: 16777216, path_style: true}}",
        "aegis: v1\nrepositories: {a: {kind: s3, bucket: 2024, part_size: 16MiB, path_style: 'true'}}",
        "aegis: v1\nservices: {a: {tier: 1, start: {command: [sleep, 5]}}}",
        "aegis: v1\nservices: {a: {tier: '1'}}\nstores:",
        "aegis: v1\nsites: {a: {reach: local}, b: {reach: {ssh: a@b}}}",
    ],
)
def test_it_takes_what_people_write(text: str) -> None:
    made = schema.schema()
    assert refusals(YAML(typ="safe").load(text), made, made) == []


@pytest.mark.parametrize(
    "text",
    [
        "system: {name: x}",
        "aegis: v2",
        "aegis: v1\nservces: {}",
        "aegis: v1\nservices: {a: {teir: 1}}",
        "aegis: v1\nservices: {a: {tier: 1, uses: b}}",
        "aegis: v1\nrepositories: {a: {kind: ftp}}",
        "aegis: v1\nsites: {a: {reach: somehow}}",
        "aegis: v1\nsystem: {name: x, objectives: {rto: long}}",
        "aegis: v1\nstores: {a: {engine: postgresql, members: {m: {site: s, server: {data_dir: /x}}}}}",
    ],
)
def test_it_refuses_what_the_model_refuses(text: str) -> None:
    made = schema.schema()
    assert refusals(YAML(typ="safe").load(text), made, made)


def test_keys_are_described() -> None:
    made = schema.schema()
    assert "site daemon" in made["$defs"]["LogBackup"]["properties"]["stream"]["description"]
    assert "server" in made["$defs"]["PostgresqlServer"]["properties"]["log_file"]["description"]
    assert json.loads(schema.text()) == made


MANUAL = ROOT / "aegis_plan" / "docs" / "manual"
EXAMPLES = [
    (page.name, block)
    for page in (MANUAL / "documents.md", MANUAL / "scenarios.md")
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    if not block.startswith("#")
]


@pytest.mark.parametrize(("page", "text"), EXAMPLES)
def test_the_examples_of_the_manual_fit_the_schema(page: str, text: str) -> None:
    made = schema.schema()
    assert refusals({"aegis": "v1", **YAML(typ="safe").load(text)}, made, made) == []


def test_the_manual_has_an_example_of_every_section() -> None:
    found = {section for _, text in EXAMPLES for section in YAML(typ="safe").load(text)}
    told = (MANUAL / "documents.md").read_text(encoding="utf-8")
    assert set(schema.schema()["properties"]) - {"aegis", "required_version"} <= found
    assert "`required_version:" in told


def test_every_key_is_on_the_reference_page() -> None:
    page = reference.page()
    assert len(reference.keys()) > 100
    assert [
        key
        for key in sorted(reference.keys())
        if not re.search(rf"`{re.escape(key)}`|\*\*{re.escape(key)}\*\*|^#+ {re.escape(key)}$", page, re.M)
    ] == []
    assert [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")] == []
