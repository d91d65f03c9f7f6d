"""No text of documents commands the terminal, turns the order of what is read, or forges a line of an output."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from aegis_plan.cli.main import main
from aegis_plan.plan.explain import explain
from aegis_plan.report import terminal
from aegis_plan.report.graph_dot import graph_dot
from aegis_plan.report.graph_mermaid import graph_mermaid
from aegis_plan.report.graph_plan import draw_plan
from aegis_plan.report.graph_svg import graph_svg
from aegis_plan.report.html import plan_html
from aegis_plan.report.markdown import plan_markdown
from aegis_plan.report.plan import show_plan as show
from aegis_plan.report.step import show_step
from aegis_plan.report.visible import dumps, one_line, visible
from tests.report.worlds import made

FOUL = "a\x1b[2K\x1b[1A\x9b8m\u202eb\x07\u2028\U000e0041c\x85d\x1b]0;x\x07\x00\x7f"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def test_letters_that_command_are_written_out() -> None:
    assert visible(FOUL) == r"a\x1b[2K\x1b[1A\x9b8m\u202eb\x07\u2028\U000e0041c\x85d\x1b]0;x\x07\x00\x7f"
    assert visible("정전 · é\tx 👩\u200d💻") == "정전 · é\tx 👩\u200d💻"
    assert visible("a\nerror: b\r\nc\n") == r"a\nerror: b\x0d\nc"
    assert visible("a\r\nb\x1b\rc", lines=True) == "a\nb\\x1b\\x0dc"
    assert one_line("a\nb\x1b") == r"a b\x1b"


def test_json_stays_the_same_to_a_program() -> None:
    data = {"a": FOUL, FOUL: ["정전\n"]}
    text = dumps(data)
    assert json.loads(text) == data
    assert not RAW.search(text)
    assert "정전" in text


def test_no_report_holds_one_raw() -> None:
    plan = made(12, FOUL)
    drawing = draw_plan(plan)
    for text in (
        plan_html(plan, "d", FOUL),
        plan_markdown(plan, "d", FOUL, f"x {FOUL}"),
        graph_svg(drawing),
        graph_dot(drawing),
        graph_mermaid(drawing),
    ):
        assert not RAW.search(text)
        assert r"\x1b" in text.replace("\\\\", "\\")


def test_the_terminal_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    out = terminal.console(color=False)
    plan = made(12, FOUL)
    show(plan, out)
    found = explain(plan, plan.steps[4].id)
    assert found is not None
    show_step(found, out)
    # What is printed without a thought is caught as well.
    out.print(Text(FOUL))
    out.print(FOUL)
    assert not RAW.search(stream.getvalue())
    assert stream.getvalue().count(r"\x1b[2K") > 10


def test_colours_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal.console(width=80).print(Text(f"a{FOUL}", style="bad"))
    text = stream.getvalue()
    assert text.startswith("\x1b[1;31ma")
    assert not RAW.search(re.sub("\x1b\\[[0-9;]*m", "", text))


def test_an_error_of_a_document_has_no_line_of_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(
        'aegis: v1\nsystem: {name: x}\nservices: {"a\\n  hint: all is well\\e[2K\\u202e": {tier: 1}}\n'
    )
    assert main(["validate", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert not RAW.search(said)
    assert "\n  hint: all is well" not in said
    assert r"\n  hint: all is well\x1b[2K\u202e" in said


def test_the_line_of_a_document_is_shown_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(
        "aegis: v1\nsystem: {name: x}\nsites: {a: {role: primary}}\n"
        'scenarios: {f: {description: "\u202ex", disruption: site, expect: {rto: 8h}}} # \u2066y\u2028\n'
    )
    main(["validate", str(tmp_path)])
    shown = capsys.readouterr().out
    assert not RAW.search(shown)
    line = next(line for line in shown.split("\n") if line.startswith("  4 | "))
    marks = shown.split("\n")[shown.split("\n").index(line) + 1]
    assert line.startswith('  4 | scenarios: {f: {description: "\\u202ex", disruption')
    assert line[marks.index("^") : marks.rindex("^") + 1] in ("f", "site", "8h", "scenarios", "expect", "rto")
