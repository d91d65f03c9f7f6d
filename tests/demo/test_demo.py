"""The demo end to end: a real server, a real disaster, rows compared; in a folder whose name has a space."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import unavailable

AEGIS = [sys.executable, "-m", "aegis_plan"]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that the server's user may pass through; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="aegis demo ", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def aegis(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AEGIS, *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture(scope="module")
def quick(place: Path) -> subprocess.CompletedProcess[str]:
    """The quick form: PostgreSQL and Milvus, in folders."""
    done = aegis("demo", "--quick", "-y", "--dir", "quick", cwd=place)
    if "error[demo-extra-missing]" in done.stderr:
        unavailable("the extra 'demo' is not installed")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done


def test_the_quick_form_compares_rows_and_vectors(quick: subprocess.CompletedProcess[str], place: Path) -> None:
    assert "changes compared: all as noted." in quick.stdout
    assert "entities with their vectors compared: all as made." in quick.stdout
    assert quick.stderr == ""
    catalog = json.loads(aegis("catalog", "--json", cwd=place / "quick").stdout)
    assert {store["store"] for store in catalog["stores"]} == {"policy-db", "policy-vectors"}
    for store in catalog["stores"]:
        assert {tuple(sorted(kept["copies"])) for kept in store["sets"]} == {("busan", "seoul")}


@pytest.fixture(scope="module")
def told(place: Path) -> subprocess.CompletedProcess[str]:
    done = aegis("demo", "-y", cwd=place)
    if "error[demo-extra-missing]" in done.stderr:
        unavailable("the extra 'demo' is not installed")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done


def test_the_rows_are_back(told: subprocess.CompletedProcess[str]) -> None:
    assert "changes compared: all as noted." in told.stdout
    assert "nodes and relationships of the graph compared: all as made." in told.stdout
    assert "entities with their vectors compared: all as made." in told.stdout
    assert "Without" not in told.stdout.split("Protection")[0], "a server of the demo is missing here"
    assert "Traceback" not in told.stdout + told.stderr
    assert told.stderr == ""


def test_what_was_promised_is_held_against_what_came(told: subprocess.CompletedProcess[str]) -> None:
    lines = [line.split() for line in told.stdout.splitlines()]
    assert any(line[1:3] == ["back", "in"] and "unknown" not in line[-1] for line in lines)
    assert any(line[1:2] == ["lost"] and line[-1] != "unknown" for line in lines)


def test_everything_is_within_eighty_columns(told: subprocess.CompletedProcess[str]) -> None:
    shown = told.stdout.split("Look around")[0].splitlines()
    # Commands, paths and keys stay on one line, so that they can be copied; findings of a step as well, for logs.
    whole = ("$", "      warning[")
    long = [line for line in shown if len(line.rstrip()) > 80 and "/" not in line and not line.startswith(whole)]
    assert long == []


def test_it_stays_to_be_looked_at(told: subprocess.CompletedProcess[str], place: Path) -> None:
    home = place / "demo"
    catalog = aegis("catalog", "--json", cwd=home)
    assert catalog.returncode == 0, catalog.stderr
    stores = {store["store"]: store for store in json.loads(catalog.stdout)["stores"]}
    assert set(stores) == {"policy-db", "policy-graph", "policy-vectors"}
    assert {kept["method"] for kept in stores["policy-db"]["sets"]} == {"full", "incremental"}
    runs = aegis("runs", "--json", cwd=home)
    assert [run["verdict"] for run in json.loads(runs.stdout)["runs"]][-1] in ("done", "degraded")
    assert aegis("show", "recovery.plan", cwd=home).returncode == 0


def test_the_plan_cannot_be_applied_again(told: subprocess.CompletedProcess[str], place: Path) -> None:
    done = aegis("apply", "recovery.plan", "-y", cwd=place / "demo")
    assert done.returncode == 4
    assert "error[plan-applied]" in done.stderr


def test_no_private_key_is_shown_or_stored_outside_its_folder(
    told: subprocess.CompletedProcess[str], place: Path
) -> None:
    keys = [path.read_text().strip() for path in (place / "demo" / "site" / "keys").iterdir()]
    assert len(keys) == 3
    assert not any(key in told.stdout for key in keys)
    for path in (place / "demo").rglob("*"):
        if path.is_file() and "keys" not in path.parts and "server" not in path.parts:
            data = path.read_bytes()
            assert not any(key.encode() in data for key in keys), path


def test_a_password_shows_nowhere(told: subprocess.CompletedProcess[str], place: Path) -> None:
    home = place / "demo"
    stores = home / "plans" / "stores.yaml"
    before = stores.read_text()
    stores.write_text(re.sub(r"connection: host=.*", 'connection: "${env:CANARY}"', before))
    canary = "canary-4b1d"
    environment = {"CANARY": f"host=127.0.0.1 port=1 user=x password={canary} nonsense", "AEGIS_TRACEBACK": "1"}
    try:
        for command in (["plan"], ["plan", "--json"], ["backup", "policy-db", "-y"], ["status"]):
            done = aegis(*command, cwd=home, **environment)
            assert canary not in done.stdout + done.stderr, command
        assert not [path for path in home.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]
    finally:
        stores.write_text(before)


def test_the_server_is_stopped(told: subprocess.CompletedProcess[str], place: Path) -> None:
    assert not (place / "demo" / "server" / "data" / "postmaster.pid").exists()


def test_a_used_folder_is_left_alone(told: subprocess.CompletedProcess[str], place: Path) -> None:
    done = aegis("demo", "-y", cwd=place)
    assert done.returncode == 1
    assert "error[demo-folder-used]" in done.stderr


def test_nobody_to_ask(tmp_path: Path) -> None:
    done = aegis("demo", cwd=tmp_path)
    assert done.returncode == 64
    assert "error[approval-missing]" in done.stderr
