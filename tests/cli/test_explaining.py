"""`explain STEP`, `show --step`, `--what-if-fails` and `--what-if-down` on a saved plan, without documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aegis_plan.cli.main import main
from aegis_plan.plan.planfile import write
from tests.plan.test_forecast import all_past
from tests.plan.test_recovery import LOST, QUIET, recover
from tests.plan.world import snapshot


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("a.plan").write_bytes(write(recover(snapshot(QUIET, LOST, durations=all_past(200.0)))))
    return "a.plan"


def test_a_step_of_a_saved_plan_is_explained(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "policy-db.swap", "--plan", saved]) == 0
    text = capsys.readouterr().out
    assert "why           the old data is kept" in text
    assert "none: it is on the critical path" in text
    assert main(["show", saved, "--step", "policy-db.swap"]) == 0
    assert capsys.readouterr().out == text
    assert main(["explain", "policy-db.swap", "--plan", saved, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["timing"]["binding"], told["timing"]["critical"]) == ("policy-db.stop", True)
    assert main(["explain", "policy-db.swop", "--plan", saved]) == 64
    assert "did you mean 'policy-db.swap'?" in capsys.readouterr().err


def test_a_code_is_explained_as_before(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "rto-tight"]) == 0
    assert "p95" in capsys.readouterr().out


def test_what_if_answers_in_text_and_json(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", saved, "--what-if-fails", "policy-db.accept"]) == 0
    text = capsys.readouterr().out
    assert "If it fails: 5 of 11 steps do not run, 5 are taken back" in text
    assert main(["show", saved, "--what-if-fails", "policy-db.accept", "--what-if-down", "seoul", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["what_if_fails"]["undone"][0] == "policy-db.start"
    assert told["what_if_down"]["lost"] == ["policy-db"]
    assert main(["show", saved, "--what-if-down", "busn"]) == 64
    assert "did you mean 'busan'?" in capsys.readouterr().err


def test_a_plan_tells_its_path_and_its_limit(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", saved]) == 0
    text = capsys.readouterr().out
    assert "at most 8 at once" in text
    assert "critical path: policy-db.stage (1 min 40 s)" in text
    assert "27 min at worst (p95)" in text
