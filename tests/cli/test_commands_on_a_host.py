"""Commands against real folders, without a database: what they need, what they refuse, what they leave alone."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.rig import until

AEGIS = [sys.executable, "-m", "aegis_plan"]
SYSTEM = """\
aegis: v1
system: {name: small, timezone: Asia/Seoul}
tiers: {1: {name: critical}}
sites: {main: {reach: local, file: ../site/main.yaml}}
repositories: {local: {kind: local, site: main, path: ../backups}}
scenarios:
  evacuation:
    disruption: site
    affects: {services: [door]}
    steps:
      declare:
        say-it: {run: [touch, WITNESS], site: main}
services: {door: {tier: 1}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A system whose only recovery is to touch a file."""
    (tmp_path / "plans").mkdir()
    witness = tmp_path / "it happened"
    (tmp_path / "plans" / "system.yaml").write_text(SYSTEM.replace("WITNESS", json.dumps(str(witness))))
    done = aegis("keys", "new", "main", "--documents", "plans/sealing.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def aegis(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AEGIS, *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        check=False,
    )


def at_a_terminal(*arguments: str, cwd: Path, typed: str) -> tuple[int, str]:
    """Runs a command on a pseudo-terminal, types once it asks, and gives exit code and screen."""
    keyboard, screen = pty.openpty()
    child = subprocess.Popen([*AEGIS, *arguments], cwd=cwd, stdin=screen, stdout=screen, stderr=screen, close_fds=True)
    os.close(screen)
    seen = b""
    answered = False
    while True:
        try:
            piece = os.read(keyboard, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
        if not answered and b"approves:" in seen:
            os.write(keyboard, typed.encode() + b"\n")
            answered = True
    os.close(keyboard)
    return child.wait(), seen.decode(errors="replace")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_plan_writes_nothing(home: Path) -> None:
    before = everything(home)
    done = aegis("plan", "--scenario", "evacuation", "--detailed-exitcode", cwd=home)
    assert done.returncode in (2, 3), done.stdout + done.stderr
    assert everything(home) == before
    assert "Plan: " in done.stdout.rstrip().splitlines()[-1]


def test_a_saved_plan_applies_where_there_are_no_documents(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    saved = aegis("plan", "--scenario", "evacuation", "--out", "it.plan", cwd=home)
    assert "aegis apply it.plan" in saved.stdout
    empty = tmp_path_factory.mktemp("empty")
    shown = aegis("show", str(home / "it.plan"), cwd=empty)
    assert shown.returncode == 0, shown.stderr
    refused = aegis("apply", str(home / "it.plan"), cwd=empty)
    assert refused.returncode == 64
    assert "error[approval-missing]" in refused.stderr
    assert not (home / "it happened").exists()
    other = aegis("apply", str(home / "it.plan"), "--approve", "0" * 64, cwd=empty)
    assert other.returncode == 1
    assert "error[approval-of-another]" in other.stderr
    digest = json.loads((home / "it.plan").read_text())["digest"]
    done = aegis("apply", str(home / "it.plan"), "--approve", digest, cwd=empty)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert (home / "it happened").exists()
    again = aegis("apply", str(home / "it.plan"), "-y", cwd=empty)
    assert again.returncode == 4
    assert "error[plan-applied]" in again.stderr


def test_a_saved_plan_takes_no_planning_options(home: Path) -> None:
    aegis("plan", "--scenario", "evacuation", "--out", "it.plan", cwd=home)
    done = aegis("apply", "it.plan", "--scenario", "evacuation", "-y", cwd=home)
    assert done.returncode == 64
    assert "error[options-contradict]" in done.stderr


def test_changed_documents_make_a_plan_stale(home: Path) -> None:
    aegis("plan", "--scenario", "evacuation", "--out", "it.plan", cwd=home)
    system = home / "plans" / "system.yaml"
    system.write_text(system.read_text().replace("name: critical", "name: vital"))
    done = aegis("apply", "it.plan", "-y", cwd=home)
    assert done.returncode == 4
    assert "error[plan-documents-differ]" in done.stderr
    assert not (home / "it happened").exists()


@pytest.mark.parametrize("typed", ["no", "y", "YES", "yes please", ""])
def test_only_yes_approves(home: Path, typed: str) -> None:
    code, seen = at_a_terminal("apply", "--scenario", "evacuation", cwd=home, typed=typed)
    assert code == 1
    assert "approval-refused" in seen
    assert not (home / "it happened").exists()


def test_yes_approves(home: Path) -> None:
    code, seen = at_a_terminal("apply", "--scenario", "evacuation", cwd=home, typed="yes")
    assert code in (0, 3), seen
    assert (home / "it happened").exists()
    runs = json.loads(aegis("runs", "--json", cwd=home).stdout)["runs"]
    assert [run["verdict"] for run in runs] == ["done"]
    resumed = aegis("resume", "last", cwd=home)
    assert resumed.returncode in (0, 3)
    assert "Nothing was done" in resumed.stdout


def with_approval(home: Path) -> None:
    system = home / "plans" / "system.yaml"
    step = "site: main}\nservices"
    asking = 'site: main, approve: "is it bad?"}\nservices'
    system.write_text(system.read_text().replace(step, asking))


@pytest.mark.parametrize(("typed", "happens"), [("yes", True), ("no", False)])
def test_a_step_can_ask_at_the_terminal(home: Path, typed: str, happens: bool) -> None:
    with_approval(home)
    code, seen = at_a_terminal("apply", "--scenario", "evacuation", "-y", cwd=home, typed=typed)
    assert "is it bad?" in seen
    assert (home / "it happened").exists() is happens, seen
    assert (code in (0, 3)) is happens


def test_a_step_can_be_approved_from_elsewhere(home: Path) -> None:
    with_approval(home)
    run = subprocess.Popen(
        [*AEGIS, "apply", "--scenario", "evacuation", "-y"],
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.stdout is not None
    for line in run.stdout:
        if "waits for approval: is it bad?" in line and "evacuation" not in line and line.startswith("  "):
            wrong = aegis("approve", "door.say", cwd=home)
            assert "error[step-unknown]" in wrong.stderr
            steps = json.loads(aegis("runs", "last", "--json", cwd=home).stdout)["steps"]
            told = aegis("approve", next(step["id"] for step in steps if "say-it" in step["id"]), cwd=home)
            assert told.returncode == 0, told.stderr
            break
    run.stdout.read()
    assert run.wait() in (0, 3)
    assert (home / "it happened").exists()


def by_hand(home: Path) -> None:
    """A person has to do something before the command runs."""
    system = home / "plans" / "system.yaml"
    system.write_text(
        system.read_text().replace(
            "      declare:\n", "      declare:\n        sign: {manual: switch the sign, site: main}\n"
        ).replace("site: main}\nservices", "site: main, needs: [sign]}\nservices")
    )  # fmt: skip


@pytest.mark.parametrize(("typed", "happens"), [("yes", True), ("no", False)])
def test_a_person_says_at_the_terminal_that_a_manual_step_is_done(home: Path, typed: str, happens: bool) -> None:
    by_hand(home)
    code, seen = at_a_terminal("apply", "--scenario", "evacuation", "-y", cwd=home, typed=typed)
    assert "switch the sign: is it done?" in seen
    assert (home / "it happened").exists() is happens, seen
    assert code in ((0, 3) if happens else (6,)), seen


def test_a_manual_step_waits_for_a_person_elsewhere(home: Path) -> None:
    by_hand(home)
    run = subprocess.Popen(
        [*AEGIS, "apply", "--scenario", "evacuation", "-y", "--json"], cwd=home, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert run.stdout is not None
    for line in run.stdout:
        event = json.loads(line)
        if event["type"] == "approval-wanted":
            assert not (home / "it happened").exists()
            assert aegis("approve", event["step"], cwd=home).returncode == 0
            break
    run.stdout.read()
    assert run.wait() in (0, 3)
    assert (home / "it happened").exists()
    journal = next((home / "site" / "main" / "runs").glob("*/journal.jsonl")).read_text()
    answers = [entry["data"]["outcome"].get("outputs") for entry in map(json.loads, journal.splitlines())
               if entry["kind"] == "outcome" and entry["step"] == "declare.sign"]  # fmt: skip
    assert answers == [{"by": getpass.getuser()}]


def test_json_events_of_a_run(home: Path) -> None:
    done = aegis("apply", "--scenario", "evacuation", "-y", "--json", cwd=home)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["type"] == "version"
    assert {"planned_step", "summary", "run-begun", "step-settled", "result"} <= {line["type"] for line in lines}
    assert lines[-1]["verdict"] == "done"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan", "--scenario", "evacuatoin"], "scenario-unknown"),
        (["plan", "--store", "nothing"], "store-unknown"),
        (["plan", "--to", "2026-01-01 10:00"], "options-contradict"),
        (["plan", "--scenario", "evacuation", "--to", "soon"], "time-unreadable"),
        (["plan", "--failed-at", "2026-01-01 10:00"], "options-contradict"),
        (["plan", "--give-up-old-data"], "options-contradict"),
        (["plan", "--scenario", "evacuation", "--beside", "x", "--give-up-old-data"], "options-contradict"),
        (["backup", "nothing"], "store-unknown"),
        (["unlock", "nothing"], "lease-unknown"),
        (["resume"], "run-unknown"),
        (["approve", "x"], "run-unknown"),
    ],
)
def test_mistakes_are_named(home: Path, arguments: list[str], code: str) -> None:
    done = aegis(*arguments, cwd=home)
    assert f"error[{code}]" in done.stderr
    assert done.returncode == 64
    assert "hint:" in done.stderr


def test_a_saved_plan_with_an_error_and_no_steps_is_no_success(home: Path) -> None:
    system = home / "plans" / "system.yaml"
    system.write_text(
        system.read_text().replace(
            "scenarios:\n",
            "scenarios:\n  flight: {disruption: site, affects: {services: [door]}, steps: {data: "
            "{first: {manual: x, needs: [second]}, second: {manual: y, needs: [first]}}}}\n",
        )
    )
    planned = aegis("plan", "--scenario", "flight", "--out", "it.plan", cwd=home)
    assert planned.returncode == 1, planned.stderr
    done = aegis("apply", "it.plan", "-y", cwd=home)
    assert done.returncode == 1, done.stdout
    assert "error[plan-blocked]" in done.stderr


def slowly(home: Path) -> None:
    """Gives the recovery a second step, so that it can be stopped after the first."""
    system = home / "plans" / "system.yaml"
    first = re.search(r"say-it: (.*)\n", system.read_text())
    assert first is not None
    lines = (
        'say-it: {run: [sh, -c, "echo one >> effects; sleep 2"], site: main}\n'
        '        more: {run: [sh, -c, "echo two >> effects"], site: main, needs: [say-it]}\n'
    ).replace("effects", str(home / "effects"))
    system.write_text(system.read_text().replace(first[0], lines))


def under_way(home: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A run whose first step has begun."""
    run = subprocess.Popen([*AEGIS, *arguments], cwd=home, stdin=subprocess.DEVNULL, text=True, **options)
    until(lambda: (home / "effects").exists())
    return run


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_run_goes_on_when_its_reader_goes_away(home: Path, form: list[str]) -> None:
    slowly(home)
    run = under_way(home, "apply", "--scenario", "evacuation", "-y", *form, stdout=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.close()
    assert run.wait(60) in (0, 3)
    assert (home / "effects").read_text() == "one\ntwo\n"
    runs = json.loads(aegis("runs", "--json", cwd=home).stdout)["runs"]
    assert [run["verdict"] for run in runs] == ["done"]


def test_a_run_that_nobody_can_hear_is_done_all_the_same(home: Path) -> None:
    slowly(home)
    words = shlex.join([*AEGIS, "apply", "--scenario", "evacuation", "-y"])
    done = subprocess.run(["/bin/sh", "-c", f"exec {words} <&- >&- 2>&-"], cwd=home, check=False)
    assert done.returncode in (0, 3)
    assert (home / "effects").read_text() == "one\ntwo\n"


def test_a_terminal_that_is_closed_ends_the_run_gracefully(home: Path) -> None:
    slowly(home)
    keyboard, screen = pty.openpty()
    run = under_way(
        home, "apply", "--scenario", "evacuation", "-y", stdout=screen, stderr=screen, start_new_session=True,
        # Whoever runs the tests below nohup hands on that a hang-up is ignored, which the run would respect.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    os.close(screen)
    os.close(keyboard)
    for _ in range(2):
        run.send_signal(signal.SIGHUP)
    assert run.wait(60) == 6
    runs = json.loads(aegis("runs", "last", "--json", cwd=home).stdout)
    assert runs["reason"] == "interrupted"


@pytest.mark.parametrize("seconds", ["soon", "0", "-5", "nan", "1e400"])
def test_a_lease_that_keeps_nobody_away_is_refused(home: Path, seconds: str) -> None:
    done = aegis("apply", "--scenario", "evacuation", "-y", cwd=home, AEGIS_LEASE_SECONDS=seconds)
    assert done.returncode == 64, done.stdout
    assert "error[environment-invalid]" in done.stderr
    assert not (home / "it happened").exists()


def test_what_strangers_left_among_the_runs_hides_no_run(home: Path) -> None:
    assert aegis("apply", "--scenario", "evacuation", "-y", cwd=home).returncode in (0, 3)
    runs = home / "site" / "main" / "runs"
    (mine,) = runs.iterdir()
    (runs / "stranger" / "plan.json").mkdir(parents=True)
    for name, journal in (
        ("binary", b"\xff\xfe\n"),
        ("odd", b'{"number":1,"at":"2026-11-24T00:00:00Z","kind":"sent","step":"a","data":{},"previous":"%s"}\n'),
        (
            "late",
            b'{"number":1,"at":"2026-11-24T00:00:00Z","kind":"begun","data":{"oldest_reader":"x"},"previous":"%s"}\n',
        ),
    ):
        (runs / name).mkdir()
        (runs / name / "plan.json").write_bytes((mine / "plan.json").read_bytes())
        (runs / name / "journal.jsonl").write_bytes(journal)
        resumed = aegis("resume", name, cwd=home)
        assert "error[journal-damaged]" in resumed.stderr, resumed.stderr
    listed = json.loads(aegis("runs", "--json", cwd=home).stdout)["runs"]
    assert {run["run"]: run["verdict"] for run in listed} == {
        mine.name: "done", "stranger": "unreadable", "binary": "unreadable", "odd": "unreadable", "late": "unreadable"
    }  # fmt: skip
    assert aegis("plan", "--scenario", "evacuation", cwd=home).returncode in (0, 3)


def test_runs_that_cannot_be_kept_are_named(home: Path) -> None:
    (home / "site" / "main").mkdir(parents=True, exist_ok=True)
    (home / "site" / "main" / "runs").touch()
    done = aegis("apply", "--scenario", "evacuation", "-y", cwd=home)
    assert "error[journal-unwritable]" in done.stderr, done.stderr
    assert not (home / "it happened").exists()


def test_a_plan_of_another_version_can_be_resumed(home: Path) -> None:
    """A version that knows one field more reads the plan, and must find it again after a kill."""
    slowly(home)
    aegis("plan", "--scenario", "evacuation", "--out", "it.plan", cwd=home)
    body = json.loads((home / "it.plan").read_text())["plan"]
    del body["intent"]["selection"]
    form = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(form.encode()).hexdigest()
    (home / "it.plan").write_text(f'{{"digest":"{digest}","plan":{form}}}\n')
    first = under_way(home, "apply", "it.plan", "-y", stdout=subprocess.DEVNULL)
    first.kill()
    first.wait()
    assert aegis("resume", cwd=home).returncode == 7
    answered = aegis("resume", "--answer", "declare.say-it=done", cwd=home)
    assert answered.returncode in (0, 3), answered.stdout + answered.stderr
    assert (home / "effects").read_text() == "one\ntwo\n"


def test_a_run_goes_on_while_the_documents_are_broken(home: Path) -> None:
    """A plan carries its documents; those of today only say where the runs are."""
    slowly(home)
    first = under_way(home, "apply", "--scenario", "evacuation", "-y", stdout=subprocess.DEVNULL)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 6
    (home / "plans" / "half.yaml").write_text("aegis: v1\nservices: {auth: {teir: '{{ nothing }}'\n")
    assert aegis("validate", cwd=home).returncode == 1
    assert json.loads(aegis("runs", "--json", cwd=home).stdout)["runs"][0]["verdict"] == "stopped"
    assert aegis("resume", cwd=home).returncode == 7
    answered = aegis("resume", "--answer", "declare.say-it=done", cwd=home)
    assert "two" in (home / "effects").read_text(), answered.stdout + answered.stderr


def test_resume_goes_on_with_the_run_that_stopped_and_not_with_one_that_was_refused(home: Path) -> None:
    slowly(home)
    first = under_way(home, "apply", "--scenario", "evacuation", "-y", stdout=subprocess.DEVNULL)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 6
    # The mark of the used plan cannot be made: this one is refused after its journal began.
    used = home / "backups" / "v1" / "small" / "state" / "plans"
    used.rename(home / "aside")
    used.touch()
    refused = aegis("apply", "--scenario", "evacuation", "-y", cwd=home)
    assert refused.returncode == 1, refused.stdout
    used.unlink()
    (home / "aside").rename(used)
    runs = json.loads(aegis("runs", "--json", cwd=home).stdout)["runs"]
    assert [run["verdict"] for run in runs] == ["stopped", "refused"]
    over = aegis("resume", "last", cwd=home)
    assert over.returncode == 1
    assert "Refused before anything was begun" in over.stdout
    assert "Go on with" not in over.stdout
    resumed = aegis("resume", cwd=home)
    assert f"Goes on with run {runs[0]['run']}." in resumed.stdout
    assert resumed.returncode == 7, resumed.stdout
    answered = aegis("resume", "--answer", "declare.say-it=done", cwd=home)
    assert answered.returncode in (0, 3), answered.stdout
    assert "two" in (home / "effects").read_text()


def test_a_plan_file_that_was_changed_is_refused(home: Path) -> None:
    aegis("plan", "--scenario", "evacuation", "--out", "it.plan", cwd=home)
    plan = home / "it.plan"
    plan.write_text(plan.read_text().replace("it happened", "it happens"))
    for command in (["show", "it.plan"], ["apply", "it.plan", "-y"]):
        done = aegis(*command, cwd=home)
        assert done.returncode == 4
        assert "error[plan-altered]" in done.stderr


def test_unlock_lets_go_of_the_lease_that_is_meant(home: Path) -> None:
    from datetime import timedelta

    from aegis_plan.clock import SystemClock
    from aegis_plan.repositories import keys, lease
    from aegis_plan.repositories.local import LocalRepository

    (home / "plans" / "store.yaml").write_text(
        "aegis: v1\nstores: {db: {engine: postgresql, members: {one: {site: main, connection: host=/nowhere}}}}\n"
    )
    (home / "backups").mkdir()
    authority = LocalRepository("local", home / "backups")
    key = keys.lease("small", "db", "data")
    held = lease.acquire(authority, key, "somebody", "backup", timedelta(hours=1), SystemClock(), "r1")
    for arguments in (["unlock", "db/data"], ["unlock", "db/data", "--epoch", "7"]):
        refused = aegis(*arguments, cwd=home)
        assert refused.returncode == 1, refused.stderr
        assert "somebody" in refused.stdout
        assert "error[unlock-not-meant]" in refused.stderr
    done = aegis("unlock", "db/data", "--epoch", str(held.epoch), cwd=home)
    assert done.returncode == 0, done.stderr
    found = lease.read(authority, key)
    assert found is not None
    assert found[0].free(SystemClock().now())


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage",
        b'{"owner":"a","host":"h","run":"r","purpose":"backup","epoch":1,"acquired":"2026-11-24T00:00:00",'
        b'"renewed":"2026-11-24T00:00:00","expires":"2036-11-24T00:00:00"}',
    ],
)
def test_a_lease_that_cannot_be_read_can_be_replaced(home: Path, garbage: bytes) -> None:
    from aegis_plan.clock import SystemClock
    from aegis_plan.repositories import keys, lease
    from aegis_plan.repositories.local import LocalRepository

    (home / "plans" / "store.yaml").write_text(
        "aegis: v1\nstores: {db: {engine: postgresql, members: {one: {site: main, connection: host=/nowhere}}}}\n"
    )
    key = keys.lease("small", "db", "data")
    path = home / "backups" / key
    path.parent.mkdir(parents=True)
    path.write_bytes(garbage)
    refused = aegis("unlock", "db/data", cwd=home)
    assert refused.returncode == 1
    assert "error[unlock-not-meant]" in refused.stderr, refused.stderr
    assert path.read_bytes() == garbage
    done = aegis("unlock", "db/data", "--epoch", "0", cwd=home)
    assert done.returncode == 0, done.stderr
    found = lease.read(LocalRepository("local", home / "backups"), key)
    assert found is not None
    assert found[0].free(SystemClock().now())


def test_a_saved_plan_needs_no_variables(home: Path) -> None:
    system = home / "plans" / "system.yaml"
    witness = home / "told"
    text = system.read_text()
    first = re.search(r"run: \[touch, (.*?)\]", text)
    assert first is not None
    told = json.dumps(str(home / "{{ name }}"))
    system.write_text(text.replace(first[1], told) + "variables: {name: {}}\n")
    without = aegis("validate", cwd=home)
    assert without.returncode == 1
    assert "error[variable-missing]" in without.stderr
    assert aegis("validate", cwd=home, AEGIS_VAR_name="x").returncode == 0
    planned = aegis("plan", "--scenario", "evacuation", "--var", "name=told", "--out", "it.plan", cwd=home)
    assert planned.returncode == 0, planned.stderr
    refused = aegis("apply", "it.plan", "-y", "--var", "name=other", cwd=home)
    assert "error[options-contradict]" in refused.stderr
    assert aegis("apply", "it.plan", "-y", cwd=home, AEGIS_VAR_name="other").returncode == 0
    assert witness.exists()
    assert not (home / "other").exists()


def test_a_value_is_written_as_one(home: Path) -> None:
    done = aegis("plan", "--var", "name", cwd=home)
    assert "error[variable-option-malformed]" in done.stderr
    assert done.returncode == 64


def test_the_list_of_keys_takes_variables(home: Path) -> None:
    path = home / "plans" / "system.yaml"
    path.write_text(
        path.read_text().replace("system: {name: small,", 'variables: {name: {}}\nsystem: {name: "{{ name }}",')
    )
    assert aegis("keys", "list", cwd=home).returncode == 1
    done = aegis("keys", "list", "--var", "name=told", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "private half here" in done.stdout


def test_room_that_nobody_knows_is_told(home: Path) -> None:
    """A store whose server does not answer has a size that is not known, and unknown is not enough."""
    (home / "plans" / "store.yaml").write_text(
        "aegis: v1\nstores: {db: {engine: postgresql, members: {one: {site: main,"
        " connection: '${env:DB}'}}, backup: {repositories: [local], full: {schedule: \"0 2 * * *\"}}}}\n"
    )
    done = aegis("check", "--json", cwd=home, DB="host=127.0.0.1 port=1 user=aegis")
    room = [one for one in json.loads(done.stdout)["requirements"] if one["code"] == "repository-full"]
    assert [one["state"] for one in room] == ["could_not_verify"], done.stdout + done.stderr
    assert "how large db is" in room[0]["detail"]
