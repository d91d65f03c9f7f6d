"""The executor is killed with SIGKILL before and after every entry of its journal, and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aegis_plan.journal.file import read
from aegis_plan.journal.replay import replay
from tests.run.scripted import Room, child_environment, outcome, plan, step, trouble
from tests.run.test_apply import restore

GOOD = (restore(), {"db.stage:act": [outcome("failed", trouble=trouble())], "db.replay:act": [outcome("unknown")]})
BAD = (restore(), {"db.accept:act": [outcome("failed", trouble=trouble())], "db.swap:undo": [outcome("unknown")]})
# A step of the same subject waits for a person while the rest is taken back.
PARKED = ([*restore(), step("db.look", subject="db", approve="is it so?")], BAD[1])
CASES = {"good": GOOD, "bad": BAD, "parked": PARKED}
ROOT = Path(__file__).parent.parent.parent


def go(folder: Path, case: str, verb: str) -> None:
    steps, script = CASES[case]
    # Retries are allowed once and at once; the branch beside shows that parallel work survives too.
    steps = [one.model_copy(update={"retries": 1 if one.id == "db.stage" else 0}) for one in steps]
    executor = Room(folder, script).executor(plan(*steps, step("beside"), step("more", "beside")))
    result = executor.apply() if verb == "apply" else executor.resume()
    print(json.dumps([result.verdict, result.exit_code, {one.id: one.state for one in result.steps}]))


def run(folder: Path, case: str, verb: str, **hooks: str) -> subprocess.CompletedProcess[str]:
    code = "import sys, pathlib; from tests.run.test_killed import go; go(pathlib.Path(sys.argv[1]), *sys.argv[2:])"
    return subprocess.run(
        [sys.executable, "-c", code, folder, case, verb],
        env=child_environment(AEGIS_LEASE_SECONDS="30", **hooks),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("case", ["good", "bad"])
def test_a_run_killed_at_any_entry_ends_as_if_it_had_not_been(tmp_path: Path, case: str, sweep: bool) -> None:
    (tmp_path / "whole").mkdir()
    whole = json.loads(run(tmp_path / "whole", case, "apply").stdout)
    count = len(read(tmp_path / "whole" / "runs" / "run-1"))
    assert whole[1] == (0 if case == "good" else 1)
    points = [(hook, number) for number in range(1, count + 1) for hook in ("AEGIS_KILL_AT", "AEGIS_KILL_BEFORE")]
    for place, (hook, number) in enumerate(points):
        if not sweep and place % 7:
            continue
        folder = tmp_path / f"{hook}-{number}"
        killed = run(folder, case, "apply", **{hook: str(number)})
        assert killed.returncode == -signal.SIGKILL, (hook, number, killed.stderr)
        if not (folder / "runs" / "run-1" / "journal.jsonl").exists():
            continue
        resumed = run(folder, case, "resume")
        assert resumed.returncode == 0, (hook, number, resumed.stderr)
        assert json.loads(resumed.stdout) == whole, (hook, number)
        effects = Room(folder).dispatcher.effects()
        assert len(effects) == len(set(effects)), (hook, number, effects)
        state = replay(read(folder / "runs" / "run-1"))
        assert state.ended is not None
        epochs = [
            entry.data["epoch"] for entry in read(folder / "runs" / "run-1") if entry.data.get("state") == "taken"
        ]
        assert epochs == sorted(set(epochs)), (hook, number)


def test_a_kill_right_after_the_decision_to_take_back_leaves_nothing_waiting(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole", "parked", "apply").stdout
    (number,) = [
        entry.number
        for entry in read(tmp_path / "whole" / "runs" / "run-1")
        if entry.data.get("decision") == "roll-back"
    ]
    killed = run(tmp_path / "killed", "parked", "apply", AEGIS_KILL_AT=str(number))
    assert killed.returncode == -signal.SIGKILL
    resumed = run(tmp_path / "killed", "parked", "resume")
    assert resumed.stdout == whole, resumed.stderr
