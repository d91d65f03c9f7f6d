"""Every rule has a document that it objects to, a nearest neighbour that it leaves alone, and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lint_case import found, told
from ruamel.yaml import YAML

from aegis_plan.cli.explain import sections
from aegis_plan.documents.lint.registry import RULES

CASES = {path.stem: path for path in sorted((Path(__file__).parent.parent / "cases" / "lint").glob("*.yaml"))}


def case(name: str) -> Any:
    return YAML(typ="safe").load(CASES[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_a_rule_names_the_very_place_and_leaves_the_neighbour_alone(name: str, tmp_path: Path) -> None:
    wrong = case(name)
    assert [told(finding) for finding in found(wrong["documents"], tmp_path) if finding.code == name] == wrong["found"]
    assert wrong["found"]
    assert wrong["documents"].count(wrong["neighbour"]["from"]) == 1
    right = wrong["documents"].replace(wrong["neighbour"]["from"], wrong["neighbour"]["to"])
    assert [told(finding) for finding in found(right, tmp_path) if finding.code == name] == []


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    assert sorted(rule.id for rule in RULES) == sorted(CASES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_is_explained_as_it_is(rule: Any) -> None:
    page = sections()[rule.id]
    assert page.startswith(rule.summary + "\n")
    assert f"Exit code {3 if rule.severity == 'breach' else 0}" in page
    assert f"A {rule.severity}." in page


def test_the_base_of_the_cases_is_beyond_reproach(tmp_path: Path) -> None:
    assert found("aegis: v1\n", tmp_path) == []
