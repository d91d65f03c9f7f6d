"""A document broken in any way gives problems with places, soon, and never anything else."""

from __future__ import annotations

import json
import random
import time
from functools import cache
from pathlib import Path

import pytest
from document_case import expected
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis_plan.documents.load import load
from aegis_plan.errors import DocumentsError

PLAN = Path(__file__).parent.parent.parent / "plans" / "aegis"
WHOLE = [line for path in sorted(PLAN.glob("*.yaml")) for line in path.read_text().splitlines() if line != "aegis: v1"]
PIECES = ["[" * 100, "{" * 100, "&a ", "*a", "<<: *a", "- ", "\t", "!!x ", "'", '"', "|", ">", "%", "@", "`", "${", "#"]
PIECES += ["9" * 5000, "1e999", "-1", "~", "null", "[]", "{}", "? ", ": ", "---\n", "...\n", "\x00", "\ud7ff", "\x85"]
PIECES += [
    "\u2028",
    '"\\ud800"',
    '{a: b:c, "\\ud800": x}',
    '{a: b:c, d: "\\UFFFFFFFF"}',
    "yes",
    "0x10",
    "é",
    "password=x",
    "'{{ x }}'",
    "\"{{ 'a' * 10**9 }}\"",
    "'{% for a in b %}'",
    "${command:[[}",
]
SOON = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def check(text: str | bytes, with_base: bool = False) -> list[str]:
    begin = time.monotonic()
    found = expected(text, with_base)
    # A bound against what grows without end, on the slowest machine; the usual is a hundredth of it.
    assert time.monotonic() - begin < 10
    assert all(" @ " in problem and "None" not in problem.split(" | ")[0] for problem in found)
    return found


@SOON
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    assert check(data)


@SOON
@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    check(("aegis: v1\n" + text).encode("utf-8", "surrogatepass"), True)


@SOON
@given(st.data())
def test_broken_lines(data: st.DataObject) -> None:
    lines = list(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        column = data.draw(st.integers(0, len(lines[at])))
        match data.draw(st.sampled_from(["cut", "drop", "twice", "swap", "put", "indent"])):
            case "cut":
                lines[at] = lines[at][:column]
            case "drop":
                del lines[at]
            case "twice":
                lines.insert(at, lines[at])
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "put":
                lines[at] = lines[at][:column] + data.draw(st.sampled_from(PIECES)) + lines[at][column:]
            case "indent":
                lines[at] = " " * data.draw(st.integers(1, 5)) + lines[at]
    check("aegis: v1\n" + "\n".join(lines))


VALUES = st.recursive(
    st.sampled_from([*PIECES[-12:], "", "seoul", "policy-db", "1", "4h", "x" * 300]),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["kind", "a", "ssh"]), inner)),
    max_leaves=6,
)


@cache
def _whole() -> str:
    """The plan as JSON, with what is written in it and no more."""
    tree = json.loads(load(PLAN).documents.model_dump_json(exclude_defaults=True))
    for repository in tree["repositories"].values():
        repository.pop("part_size", None)  # a number of bytes, which the documents write with a unit
    return json.dumps({"aegis": "v1", **tree})


@SOON
@given(st.data())
def test_wrong_values_anywhere(data: st.DataObject) -> None:
    """A tree with a value of another form somewhere, given as JSON, which is YAML."""
    tree = json.loads(_whole())
    for _ in range(data.draw(st.integers(1, 3))):
        here = tree
        while True:
            keys = list(here) if isinstance(here, dict) else list(range(len(here)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(here[key], dict | list) or not here[key] or data.draw(st.integers(0, 4)) == 0:
                here[key] = data.draw(VALUES)
                break
            here = here[key]
    check(json.dumps(tree))


@pytest.mark.parametrize(
    "text",
    [
        "aegis: v1\na: " + "[" * 100_000,
        "aegis: v1\na: {b: c:d, e: " + "[" * 60_000,
        "aegis: v1\n" + "a: {" * 10_000,
        "aegis: v1\n" + "".join(" " * n + "a:\n" for n in range(2000)),
        "aegis: v1\na: [" + "b:c, " * 12_000 + "]",
        "aegis: v1\na: '" + "x" * 2**20 + "'\n",
        "aegis: v1\nservices:\n" + "".join(f"  s{n}: {{tier: 1, uses: [s{n + 1}]}}\n" for n in range(5000)),
        "aegis: v1\nservices:\n" + "".join(f"  s{n}: {{teir: x}}\n" for n in range(5000)),
        "aegis: v1\n" + "? " * 5000,
        "aegis: v1\n" + "- " * 5000,
        "aegis: v1\na: " + "!" * 100_000,
        "aegis: v1\na: " + "&" + "x" * 100_000,
        "aegis: v1\nsystem: {name: x, timezone: " + "A" * 100_000 + "}",
        "aegis: v1\nsystem: {name: x, objectives: {rto: " + "1h" * 50_000 + ", availability: " + "9" * 9999 + "%}}",
    ],
    ids=range(14),
)
def test_what_is_huge_ends_soon(text: str) -> None:
    assert check(text)


def test_nothing_but_problems_comes_out_of_a_plan_cut_anywhere() -> None:
    text = "\n".join(WHOLE)
    places = random.Random(1).sample(range(len(text)), 60)
    for place in places:
        check("aegis: v1\n" + text[:place])
    assert DocumentsError([]).code == "documents-invalid"
