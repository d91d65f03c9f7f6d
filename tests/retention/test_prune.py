"""Expired backups go by the product's own commands: marked first, deleted later, never one that is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.thread.world import World


def sets(world: World) -> list[dict[str, Any]]:
    store = json.loads(world.ok("catalog", "policy-db", "--json").out)["stores"][0]
    found: list[dict[str, Any]] = store["sets"]
    return found


def files(world: World, room: str) -> list[Path]:
    return sorted(
        path
        for name in ("seoul", "busan")
        for path in world.repository(name).rglob("*")
        if path.is_file() and f"/{room}/" in str(path) and ".partial" not in path.parts
    )


def test_sets_go_in_two_phases_and_the_newest_stays(short: World) -> None:
    world = short
    world.ok("apply", "-y")
    world.ok("backup", "policy-db", "--full", "-y")
    world.insert(10, "more")
    world.ok("backup", "policy-db", "--incremental", "-y")
    world.ok("backup", "policy-db", "--log", "-y")
    first, second, third = (one["set"] for one in sets(world))
    rows = world.rows()
    shown = world.aegis("prune", "--json")
    assert shown.code == 64, shown.text
    ran = world.ok("prune", "-y")
    assert f"{first} of" in ran.out
    assert "goes back to" in ran.out
    assert [one["set"] for one in sets(world)] == [second, third]
    assert any(first in str(path) for path in files(world, "sets"))
    world.ok("prune", "-y")
    assert any(first in str(path) for path in files(world, "sets")), "its grace is not over"
    world.ok("prune", "--now", "-y")
    assert not any(first in str(path) for path in files(world, "sets"))
    assert not any(first in str(path) for path in files(world, "keys"))
    left = [path for room in ("sets", "records", "keys", "log") for path in files(world, room)]
    again = world.ok("prune", "--now", "-y")
    assert "deleted" not in again.out or "0" in again.out
    assert [path for room in ("sets", "records", "keys", "log") for path in files(world, room)] == left
    world.ok("plan", "--detailed-exitcode")
    world.destroy()
    world.ok("apply", "-y", "--scenario", "database-failure")
    assert world.rows() == rows
