"""What commands really write with `--json` is what the schemas in the repository say."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from aegis_plan.cli.main import main
from aegis_plan.plan.planfile import write
from aegis_plan.report import schema
from aegis_plan.report.progress import Lines
from aegis_plan.run.events import Event
from tests.cli.test_plan_text import RECOVERY
from tests.report.worlds import made

ROOT = Path(__file__).parent.parent.parent


def validator(name: str) -> Draft202012Validator:
    known = json.loads((ROOT / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(known)
    return Draft202012Validator(known)


EVENTS, DOCUMENT = validator(schema.EVENTS_FILE), validator(schema.PLAN_FILE)


def lines_of(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        EVENTS.validate(one)
    return found


@pytest.mark.parametrize("scenario", ["database-failure", "ransomware"])
def test_plans_of_the_example(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT / "plans" / "aegis")
    saved, into = tmp_path / "a.plan", tmp_path / "events"
    arguments = ["plan", "--scenario", scenario, "--json", "--json-into", str(into), "--out", str(saved)]
    main([*arguments, "--html", str(tmp_path / "a.html"), "--markdown", str(tmp_path / "a.md")])
    shown = capsys.readouterr().out
    found = lines_of(shown)
    assert found[0]["type"] == "version"
    assert found[-1]["type"] == "summary"
    assert into.read_text(encoding="utf-8") == shown
    assert found[-1]["digest"] in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert found[-1]["digest"] in (tmp_path / "a.md").read_text(encoding="utf-8")
    assert main(["show", str(saved), "--json", "--json-into", str(tmp_path / "document")]) == 0
    document = capsys.readouterr().out
    DOCUMENT.validate(json.loads(document))
    assert (tmp_path / "document").read_text(encoding="utf-8") == document


def test_a_failure_and_a_mistake_are_events(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["show", str(tmp_path / "none"), "--json"]) == 1
    assert lines_of(capsys.readouterr().out)[0]["type"] == "error"
    assert main(["show", "--jsn", "--json"]) == 64
    assert lines_of(capsys.readouterr().out)[0]["code"] == "usage"


def test_what_a_run_tells() -> None:
    told: list[str] = []
    lines = Lines(told.append)
    at = datetime(2026, 11, 23, tzinfo=UTC)
    lines.tell(Event("run-begun", at))
    lines.tell(Event("step-settled", at, "policy-db.stage", {"state": "done", "seconds": 1.0}))
    assert [one["type"] for one in lines_of("\n".join(told))] == ["run-begun", "step-settled"]


def test_it_takes_what_a_minor_version_adds_and_refuses_another_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.plan"
    path.write_bytes(write(made(12)))
    assert main(["show", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    more = copy.deepcopy(document)
    more["plan"]["steps"][0]["novel"] = more["novel"] = 1
    DOCUMENT.validate(more)
    for spoil in ({"format_version": "2.0"}, {"plan": {}}, {"digest": 1}):
        assert not DOCUMENT.is_valid({**document, **spoil})
    line = {"type": "novel", "@timestamp": "2026-11-23T00:00:00Z", "@message": "x"}
    EVENTS.validate(line)
    for spoil in ({"type": "summary"}, {"type": "planned_step"}, {"@message": None}):
        assert not EVENTS.is_valid({**line, **spoil})


@pytest.mark.parametrize("option", ["--html", "--markdown"])
def test_a_report_on_standard_output_is_all_that_is_there(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.plan"
    path.write_bytes(write(RECOVERY))
    assert main(["show", str(path), option, "-"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(("<!doctype html>", "<!-- aegis plan -->"))
    assert "In short" not in text or option == "--html"
    assert main(["show", str(path), "--json", option, "-"]) == 64
