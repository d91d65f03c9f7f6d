"""SIGKILL in the middle of a publication, of who applies it and of the site's worker, then on: one publication, whole
everywhere, and nothing that nobody names."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bare.test_trust import System

FIRST, STRIDE = 4, 5


def points(sweep: bool) -> Iterator[int]:
    return itertools.count(1 if sweep else FIRST, 1 if sweep else STRIDE)


def whole(system: System, number: int) -> None:
    for name in ("one", "two"):
        folder = system.publications(name)
        manifests = sorted(folder.glob("*.json"))
        assert [path.name for path in manifests] == [f"{one:08d}.json" for one in range(1, number + 1)]
        bodies = [json.loads(path.read_bytes())["publication"] for path in manifests]
        named = {laid["key"] for body in bodies for laid in (body["documents"], *body["beside"])}
        there = {
            path.relative_to(system.folder / name).as_posix()
            for part in ("publications", "beside")
            for path in (folder.parent / part).rglob("*")
            if path.is_file() and path not in manifests
        }
        assert there == named


@pytest.mark.sweep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("who", ["executor", "worker"])
def test_publish(tmp_path: Path, who: str, sweep: bool) -> None:
    system = System(tmp_path / "system")
    tried = 0
    for number in points(sweep):
        with (system.folder / "plans" / "aegis.yaml").open("a") as file:
            file.write(f"# {number}\n")
        mark = tmp_path / f"killed-{number}"
        kill = {"AEGIS_KILL_AT": str(number)} if who == "executor" else {"AEGIS_KILL_WORKER_AT": f"{number}@{mark}"}
        ran = system.aegis("publish", "--wheels", "none", "-y", **kill)
        killed = ran.code == -9 if who == "executor" else mark.exists()
        if ran.code != 0:
            assert killed, ran.text
            system.ok("resume")
        whole(system, tried + 1)
        tried += 1
        if not killed:
            break
    assert not list((system.folder / "site" / "seoul" / "work").rglob("*.*")), "scratch files are left at the site"
    assert "No changes" in system.ok("publish", "--wheels", "none").out
    assert tried > 1
    print(f"publish, {who}: {tried - 1} points")
