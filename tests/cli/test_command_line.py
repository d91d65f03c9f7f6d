"""What a shell and a person see: exit codes, streams, messages, colours."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from aegis_plan.cli.main import COMMANDS, main

AEGIS = [sys.executable, "-m", "aegis_plan"]


def aegis(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AEGIS, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_help_names_every_command() -> None:
    done = aegis("--help")
    assert done.returncode == 0
    for group in COMMANDS.values():
        for name in group:
            assert f"  {name} " in done.stdout


def test_help_imports_nothing_heavy() -> None:
    heavy = {"pydantic", "networkx", "boto3", "psycopg", "rich", "jinja2", "cryptography", "ruamel", "httpx"}
    code = (
        "import sys; from aegis_plan.cli.main import main; main(['--help']); "
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", [name for group in COMMANDS.values() for name in group])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "Usage: aegis " + name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plam"], "Did you mean 'plan'?"),
        (["plan", "--nonsense"], "No such option"),
        (["-C", "/does/not/exist", "plan"], "cannot go to"),
        (["show"], "there is no FILE"),
        (["backup"], "Missing argument"),
        (["apply", "--lock-timeout", "soon"], "not a duration"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_a_typing_mistake_is_no_change(arguments: list[str], said: str) -> None:
    done = aegis(*arguments)
    assert done.returncode == 64, "2 would read as 'changes'"
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_version() -> None:
    assert aegis("--version").stdout.startswith("aegis ")


def test_no_documents(tmp_path: Path) -> None:
    done = aegis("validate", cwd=tmp_path)
    assert done.returncode == 64
    assert "error[documents-not-found]: there are no documents here" in done.stderr
    assert "hint: " in done.stderr


def test_all_problems_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "a.yaml").write_text("aegis: v1\nsystem: {name: x, objectives: {rto: soon}}\nsitess: {}\n")
    done = aegis("validate", cwd=tmp_path)
    assert done.returncode == 1
    assert "a.yaml:2:" in done.stderr
    assert "a.yaml:3:1" in done.stderr
    assert "2 problems found." in done.stderr
    as_json = aegis("validate", "--json", cwd=tmp_path)
    assert as_json.returncode == 1
    data = json.loads(as_json.stdout)
    assert data["valid"] is False
    assert [finding["position"]["line"] for finding in data["findings"]] == [2, 3]


def test_errors_are_json_where_json_was_asked(tmp_path: Path) -> None:
    done = aegis("plan", "--json", cwd=tmp_path)
    assert done.returncode == 64
    line = json.loads(done.stdout)
    assert (line["type"], line["code"]) == ("error", "documents-not-found")
    assert {"@timestamp", "@message", "hint"} <= line.keys()


def test_a_bug_shows_no_traceback_and_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_path: object = None) -> None:
        raise RuntimeError("password=canary-7f3a")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AEGIS_TRACEBACK", raising=False)
    monkeypatch.setattr("aegis_plan.cli.wire.documents_folder", broken)
    assert main(["validate"]) == 1
    shown = capsys.readouterr()
    assert "error[internal-error]" in shown.err
    assert "RuntimeError at " in shown.err
    assert "canary-7f3a" not in shown.err + shown.out
    assert "Traceback" not in shown.err


def test_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        f"{shlex.join(AEGIS)} explain | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_init_keys_validate(tmp_path: Path) -> None:
    assert aegis("init", "my system", cwd=tmp_path).returncode == 0
    home = tmp_path / "my system"
    done = aegis("keys", "new", "main", "--documents", "plans/sealing.yaml", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "SECRET" not in done.stdout + done.stderr
    for name in ("main.sign", "main.age", "recovery.age"):
        assert (home / "site" / "keys" / name).stat().st_mode & 0o777 == 0o600
    done = aegis("validate", cwd=home)
    assert done.returncode == 0, done.stderr
    again = aegis("keys", "new", "main", cwd=home)
    assert again.returncode == 1
    assert "error[keys-exist]" in again.stderr
    listed = aegis("keys", "list", cwd=home)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("private half here") == 2
    assert "PRIVATE HALF HERE" not in listed.stdout, "the site file does not name the recovery key"


def test_explain_and_help() -> None:
    done = aegis("explain", "error[time-ambiguous]")
    assert done.returncode == 0
    assert "offset" in done.stdout
    wrong = aegis("explain", "time-ambigous")
    assert wrong.returncode == 64
    assert "time-ambiguous" in wrong.stderr
    assert aegis("help", "glossary").stdout.startswith("# Glossary")
    assert "Usage: aegis plan" in aegis("help", "plan").stdout or "# " in aegis("help", "plan").stdout
    assert aegis("help", "nonsense").returncode == 64


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    done = aegis("completion", shell)
    assert done.returncode == 0
    assert "_AEGIS_COMPLETE" in done.stdout


def test_colours_only_where_wanted() -> None:
    for environment in ({"NO_COLOR": "1", "FORCE_COLOR": ""}, {}):
        assert "\x1b[" not in aegis("plam", **environment).stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
@pytest.mark.parametrize("arguments", [["validate", "plans/aegis"], ["validate", "plans/aegis", "--json"], ["--help"]])
def test_output_that_cannot_be_written_is_told_and_no_success(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*AEGIS, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            cwd=Path(__file__).parent.parent.parent,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error[output-lost]: ")
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "internal-error" not in done.stderr
