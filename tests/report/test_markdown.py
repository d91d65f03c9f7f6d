"""A plan for a pull request: the summary always, cut by section, and names are only names."""

from __future__ import annotations

import pytest

from aegis_plan.report.markdown import MARKER, MOST, plain, plan_markdown
from tests.cli.test_plan_text import RECOVERY, plan
from tests.report.worlds import HOSTILE, made


def test_it_says_what_matters_first_and_how_to_go_on() -> None:
    text = plan_markdown(RECOVERY, "d1", "the summary", "aegis apply x.plan")
    lines = text.splitlines()
    assert lines[0] == MARKER
    assert "**the summary**" in lines[:6]
    assert "aegis apply x.plan" in text
    assert "Plan digest `d1`" in text
    assert text.index("### Findings") < text.index("### Forecast") < text.index("### Tier 1") < text.index("<details>")
    assert "```mermaid" in text


def test_a_plan_that_cannot_be_applied_has_no_next_command() -> None:
    assert "aegis apply" not in plan_markdown(plan(), "d", "s", "aegis apply x")


@pytest.mark.parametrize("count", [60, 400, 3000])
def test_it_fits_and_says_what_was_cut(count: int) -> None:
    text = plan_markdown(made(count), "d", "the summary", "aegis apply x.plan")
    assert len(text) <= MOST
    assert "**the summary**" in text
    assert "### Findings" in text
    assert ("Left out" in text) == (count > 60)
    assert text.count("```") % 2 == 0
    assert text.count("<details>") == text.count("</details>")


def test_names_are_only_names() -> None:
    text = plan_markdown(made(12, HOSTILE), "d", HOSTILE, "")
    outside = []
    fence = ""
    for line in text.splitlines():
        if line.startswith("```"):
            fence = "" if fence else line
        elif not fence:
            outside.append(line)
    for line in outside:
        assert "<script" not in line
        assert "http://" not in line
        assert "[a](" not in line
        assert "@all" not in line
        if line.startswith("|"):
            cells = line.replace("\\|", "").count("|") - 1
            assert cells in (5, 6)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("policy-db.stage (1)", "policy-db.stage (1)"),
        ("- item", "\\- item"),
        ("1. item", "1\\. item"),
        ("a|b", "a\\|b"),
        ("a\nb", "a b"),
        ("&lt;", "&amp;lt;"),
        ("# x", "&#35; x"),
        ("www.evil.example", "www&#46;evil.example"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert plain(text) == shown
