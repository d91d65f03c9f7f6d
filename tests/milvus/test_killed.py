"""SIGKILL in the middle of export, load and swap of Milvus, then resume: nothing is lost, doubled or left loaded.

Each point is a write of the site's ledger by the worker: a claim, a mark before or after a move, an outcome.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from tests.milvus.test_lite import fill, rows
from tests.milvus.world import World, make
from tests.servers.milvus import TOKEN, MilvusServer

POINTS = {"restore": (16,), "backup": (4,)}
"""With a name that leads to nothing; with a collection still loaded. The sweep tries every point of a restore."""


def killed(world: World, point: int, *words: str) -> bool:
    """Runs a command whose worker is killed at a point, and resumes it. False: it never came so far."""
    flag = world.folder / f"killed-{point}-{words[0]}"
    before = set((world.site / "runs").glob("*"))
    ran = world.aegis(*words, env={"AEGIS_KILL_WORKER_AT": f"{point}@{flag}"})
    if not flag.exists():
        assert ran.code == 0, ran.text
        return False
    if ran.code != 0:
        (run,) = set((world.site / "runs").glob("*")) - before
        world.ok("resume", run.name)
    return True


def before_and_after(client: MilvusClient) -> tuple[dict[str, Any], list[str]]:
    names = sorted(one for one in client.list_collections() if "__aegis_" not in one)
    left = [one for one in client.list_collections() if "__aegis_" in one and "__aegis_old_" not in one]
    return {one: rows(client, one) for one in names}, left


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("milvus")
    path = folder / "data" / "vectors.db"
    path.parent.mkdir()
    made = make(folder / "system", str(path), "{mode: lite}", "    keep_old_data: no\n")
    with made.client() as client:
        fill(client)
    made.ok("backup", "vectors", "-y")
    return made


def test_a_restore_goes_on_where_it_was_killed(world: World, sweep: bool) -> None:
    with world.client() as client:
        expected, _ = before_and_after(client)
    tried = 0
    for point in range(1, 200) if sweep else POINTS["restore"]:
        with world.client() as client:
            client.delete("docs", filter='id != ""')
            client.delete("numbers", ids=[0])
        was = killed(world, point, "restore", "vectors", "-y", "--to", "latest")
        with world.client() as client:
            found, left = before_and_after(client)
            assert found == expected, f"killed at {point}"
            assert left == []
            assert client.list_collections() == sorted(expected), "the old ones were to go"
            assert client.list_aliases("docs")["aliases"] == ["prod"]
        assert not (world.site / "work").exists() or not list((world.site / "work").rglob("rows-*"))
        if not was:
            break
        tried += 1
    assert tried


def test_a_backup_killed_while_it_had_loaded_a_collection_releases_it(server: MilvusServer, tmp_path: Path) -> None:
    world = make(tmp_path / "system", server.address, '{token: "${env:MILVUS_TOKEN}"}')
    world.environment["MILVUS_TOKEN"] = TOKEN
    with closing(server.client()) as client:
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
        client.create_collection("still", schema=schema)
        client.insert("still", [{"id": key, "v": [key, 1, 2, 3]} for key in range(50)])
        reached = [killed(world, point, "backup", "vectors", "-y") for point in POINTS["backup"]]
        assert any(reached)
        assert str(client.get_load_state("still")["state"]) == "NotLoad"
        assert client.list_indexes("still") == [], "the index that it was loaded by is gone"
    assert {one["details"]["rows"] for one in world.records()} == {50}
    assert {one["consistency"] for one in world.records()} == {"fuzzy"}
    assert len(world.records()) == len(POINTS["backup"]), "none was made twice"
