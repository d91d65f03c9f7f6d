"""Verify, hold and prune by the product's own commands: on a real server, a folder and a real bucket, in one story."""

from __future__ import annotations

import json
import os
from typing import Any

from aegis_plan.repositories.s3 import S3Repository
from tests.retention.conftest import kept_for_a_moment
from tests.thread.world import World

ROOMS = ("sets", "records", "keys", "log")


def catalog(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.ok("catalog", "--json").out)
    return found


def store(world: World) -> dict[str, Any]:
    found: dict[str, Any] = catalog(world)["stores"][0]
    return found


def objects(world: World, busan: S3Repository) -> set[str]:
    """What lies in both, but for leases and other state."""
    folder = world.repository("seoul")
    here = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    there = {listed.key for listed in busan.listing("v1/")}
    keys = {f"seoul/{one}" for one in here} | {f"busan/{one}" for one in there}
    return {key for key in keys if any(f"/{room}/" in key for room in ROOMS)}


def damage(world: World, busan: S3Repository, name: str) -> None:
    """One bit of the base of a set flips in the folder."""
    key = next(key for key in objects(world, busan) if f"sets/{name}/base" in key and key.startswith("seoul/"))
    path = world.repository("seoul") / key.removeprefix("seoul/")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    os.chmod(path, 0o600)
    path.write_bytes(data)


def test_the_life_of_a_backup(system: World, busan: S3Repository) -> None:
    world = system
    world.ok("apply", "-y")
    world.insert(10, "more")
    world.ok("backup", "policy-db", "--full", "-y")
    world.ok("backup", "policy-db", "--log", "-y")
    first, second = (one["set"] for one in store(world)["sets"])

    # A bit flips in the folder: told, counted out, made anew from the bucket, read again, whole.
    damage(world, busan, second)
    failed = world.aegis("verify", "--data", "100%", "-y")
    assert failed.code == 3, failed.text
    assert "other bytes" in failed.out
    found = store(world)
    assert [one["copies"] for one in found["sets"]] == [["seoul", "busan"], ["busan"]]
    assert {one["repository"]: (one["failed"], one["never"]) for one in found["verified"]} == {
        "seoul": (1, 0),
        "busan": (0, 0),
    }
    healed = world.ok("apply", "-y")
    assert "verify 1 copy of policy-db in seoul" in healed.out

    # A shortened period does not apply at once.
    kept_for_a_moment(world)
    assert "retention-shortened" in world.ok("prune", "-y").out
    # It is marked first, and brought back by a hold.
    ran = world.ok("prune", "--accept-shorter", "-y")
    assert f"{first} of" in ran.out
    assert "goes back to" in ran.out
    world.ok("hold", first, "--reason", "after all", "--until", "2099-01-01", "-y")
    found = store(world)
    assert [one["set"] for one in found["sets"]] == [first, second]
    assert [one["copies"] for one in found["sets"]] == [["seoul", "busan"]] * 2
    assert all(one["verified"] for one in found["sets"])
    assert found["holds"][0]["reason"] == "after all"
    assert "Plan to release backups of" in world.ok("hold", first, "--release", "-y").out
    before = objects(world, busan)

    # At once: gone from both, and nothing else is.
    rows = world.rows()
    world.ok("prune", "--now", "--accept-shorter", "-y")
    left = objects(world, busan)
    assert not any(first in key for key in left)
    gone = {key for key in before - left if "/records/" not in key}
    assert all(first in key or "/log/" in key or "/keys/log-" in key for key in gone), gone
    found = catalog(world)
    assert found["stores"][0]["expiring"] == []
    assert [(one["service"], one["skew"]) for one in found["together"]] == [("user-authentication", 0.0)]

    # What stayed restores.
    world.destroy()
    world.ok("apply", "-y", "--scenario", "database-failure")
    assert world.rows() == rows
