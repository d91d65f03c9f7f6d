"""SIGKILL at every durable point of a backup and of a restore, then resume.

The points are enumerated: every journal entry of the executor, every write of the site's ledger by the worker. By
default every `STRIDE`-th point is tried, from a fixed first one; `--sweep` tries all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.invariants import catalog_whole, nothing_left_behind, settled_once
from tests.thread.world import Ran, World

STRIDE = 7
KILLED = -9


def points(sweep: bool, first: int) -> Iterator[int]:
    return itertools.count(1 if sweep else first, 1 if sweep else STRIDE)


def executor(world: World, point: int) -> dict[str, str]:
    return {"AEGIS_KILL_AT": str(point)}


def worker(world: World, point: int) -> dict[str, str]:
    return {"AEGIS_KILL_WORKER_AT": f"{point}@{world.folder / f'killed-{world.now()}'}"}


def was_killed(world: World, ran: Ran, environment: dict[str, str]) -> bool:
    if "AEGIS_KILL_AT" in environment:
        return ran.code == KILLED
    return Path(environment["AEGIS_KILL_WORKER_AT"].partition("@")[2]).exists()


def through(world: World, words: list[str], environment: dict[str, str]) -> bool:
    """Runs a command that is killed at a point and resumes until it is over. False: the point was never reached."""
    before = set(world.runs())
    ran = world.aegis(*words, env=environment)
    killed = was_killed(world, ran, environment)
    new = [run for run in world.runs() if run not in before]
    assert len(new) == 1, (new, ran.text)
    if ran.code != 0:
        assert killed, f"it failed without a kill: {ran.code}\n{ran.text}"
        world.ok("resume", new[0].name)
    settled_once(world, new[0])
    return killed


Kill = Callable[[World, int], dict[str, str]]


@pytest.mark.sweep
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kill", [executor, worker])
def test_backup(protected: World, kill: Kill, sweep: bool) -> None:
    world = protected
    tried = 0
    for point in points(sweep, 3):
        world.insert(20, f"before {point}")
        if not through(world, ["backup", "policy-db", "-y"], kill(world, point)):
            break
        tried += 1
        catalog_whole(world)
        nothing_left_behind(world)
    assert tried > 0
    world.ok("plan")
    print(f"backup, {kill.__name__}: {tried} points")


@pytest.mark.sweep
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kill", [executor, worker])
def test_restore(protected: World, kill: Kill, sweep: bool) -> None:
    world = protected
    tried = 0
    for point in points(sweep, 4):
        world.insert(20, f"before {point}")
        world.ok("backup", "policy-db", "--log", "-y")
        rows = world.rows()
        world.destroy()
        if not through(world, ["apply", "-y", "--scenario", "database-failure"], kill(world, point)):
            break
        tried += 1
        print(f"restore, {kill.__name__}: point {point} survived", flush=True)
        assert world.rows() == rows, f"rows differ after a kill at {point}"
        catalog_whole(world)
        nothing_left_behind(world)
    assert tried > 0
    assert world.rows() == rows
    print(f"restore, {kill.__name__}: {tried} points")
