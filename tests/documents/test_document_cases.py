"""Each case is a text and every problem that is told about it: code, place, detail and hint."""

from __future__ import annotations

from pathlib import Path

import pytest
from document_case import expected
from ruamel.yaml import YAML

CASES = sorted((Path(__file__).parent.parent / "cases" / "documents").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_problem_is_told_at_its_place(path: Path) -> None:
    case = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    assert expected(case["documents"], case.get("base", True)) == case["problems"]


def test_there_are_cases() -> None:
    assert len(CASES) > 40
