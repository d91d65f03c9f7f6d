"""A Milvus Lite file through the product's own commands: backed up, damaged, restored, compared row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from aegis_plan.errors import AegisError, UnknownOutcomeError
from aegis_plan.stores.drivers import driver
from aegis_plan.stores.milvus import lite
from aegis_plan.stores.milvus.model import BackupParams
from tests.milvus.rig import Rig
from tests.milvus.world import World, make, opened

KEYS = ["", '"', "\\", 'a"b', "a\\b", 'a\\"b', "it's", "a\nb", "a\tb", "{x}", "a%b", "한국", "\U0001f600", "\uffff"]
"""Each of them ends a page somewhere, and is then part of an expression."""


def rows(client: MilvusClient, name: str) -> dict[Any, dict[str, Any]]:
    """All rows of a collection by their key, as the client library gives them."""
    client.load_collection(name)
    count = client.query(name, output_fields=["count(*)"])[0]["count(*)"]
    found = client.query(name, filter="", limit=max(1, count), output_fields=["*"]) if count else []
    assert len(found) == count
    key = next(one["name"] for one in client.describe_collection(name)["fields"] if one.get("is_primary"))
    return {row[key]: dict(row) for row in found}


def fill(client: MilvusClient) -> None:
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=100)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
    schema.add_field("n", DataType.INT64, nullable=True)
    schema.add_field("j", DataType.JSON, nullable=True)
    schema.add_field("d", DataType.VARCHAR, max_length=20, default_value="usual")
    index = client.prepare_index_params()
    index.add_index("v", index_type="HNSW", metric_type="L2", params={"M": 8, "efConstruction": 50})
    client.create_collection("docs", schema=schema, index_params=index)
    client.create_partition("docs", "p1")
    client.insert("docs", [row(number, key) for number, key in enumerate(KEYS)])
    client.insert("docs", [row(number, f"k{number}") for number in range(1500)], partition_name="p1")
    client.create_alias("docs", "prod")
    numbers = client.create_schema(auto_id=False)
    numbers.add_field("id", DataType.INT64, is_primary=True)
    numbers.add_field("s", DataType.SPARSE_FLOAT_VECTOR)
    client.create_collection("numbers", schema=numbers)
    client.insert("numbers", [{"id": key, "s": {1: 0.5, 70000: float(at + 1)}} for at, key in enumerate(NUMBERS)])


NUMBERS = [-(2**63), -(2**63) + 1, -1, 0, 1, 2**63 - 1]


def row(number: int, key: str) -> dict[str, Any]:
    more = {"x": number} if number % 3 else {}
    return {
        "id": key, "v": [number / 7 + at for at in range(8)], "n": number if number % 2 else None,
        "j": {"deep": [number, None, {"a": "ü"}]} if number % 5 else None, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("milvus")
    path = folder / "data" / "vectors.db"
    path.parent.mkdir()
    made = make(folder / "system", str(path), "{mode: lite}")
    with made.client() as client:
        fill(client)
    made.ok("backup", "vectors", "-y")
    return made


def test_all_of_it_comes_back_under_its_names(world: World) -> None:
    with world.client() as client:
        before = {name: rows(client, name) for name in ("docs", "numbers")}
        indexes = client.describe_index("docs", "v")
        schema = client.describe_collection("docs")
        client.delete("docs", filter='id != "k7"')
        client.drop_collection("numbers")
    assert set(before["numbers"]) == set(NUMBERS)
    assert set(KEYS) <= set(before["docs"])
    ran = world.ok("restore", "vectors", "-y")
    assert "milvus-old-kept" in ran.text
    with world.client() as client:
        assert {name: rows(client, name) for name in ("docs", "numbers")} == before
        assert client.describe_index("docs", "v") == indexes
        assert client.describe_collection("docs") == schema
        assert rows(client, "prod") == before["docs"]
        old = [name for name in client.list_collections() if "__aegis_old_" in name]
        assert len(old) == 1
        assert set(rows(client, old[0])) == {"k7"}
    taken = world.records()
    assert [one["consistency"] for one in taken] == ["exact", "exact"]
    assert [one["details"]["rows"] for one in taken] == [1514 + 6, 1514 + 6], "what was put aside is in no set"
    assert "docs" not in str(taken), "names of data are sealed"


def test_one_collection_alone_and_beside(world: World) -> None:
    path = world.folder / "beside"
    world.ok("restore", "vectors", "-y", "--only", "collection/numbers", "--beside", str(path))
    with world.client(str(path / "milvus.db")) as client:
        assert client.list_collections() == ["numbers"]
        assert set(rows(client, "numbers")) == set(NUMBERS)
    wrong = world.aegis("restore", "vectors", "-y", "--only", "label/other", "--beside", str(path))
    assert "milvus-selection" in wrong.text


def test_a_file_that_is_lost_comes_back(world: World) -> None:
    with world.client() as client:
        before = rows(client, "docs")
        assert "milvus-lite-open" in world.aegis("check").text
    Path(world.connection).rename(world.folder / "lost")
    assert "milvus-lite-not-there" in world.aegis("check").text
    world.ok("restore", "vectors", "-y")
    with world.client() as client:
        assert rows(client, "docs") == before
    lineages = [one["lineage"] for one in world.records()]
    assert len(set(lineages)) == 2, "a new file is another history"


def test_what_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "data.db")
    made = Rig(tmp_path / "rig", {"one": {"connection": path, "server": {"mode": "lite"}}})
    assert made.look("one").state == "stopped"
    params = BackupParams(store="vectors", member="one", lineage="lite-1").model_dump(mode="json")
    with pytest.raises(AegisError, match="no Milvus Lite database"):
        driver("milvus").source(made.site("backup", params), params)
    assert not Path(path).exists(), "a backup makes no database"
    with opened(path) as client:
        fill(client)
        assert made.look("one").details["locked"]
        # Nobody can write to what another holds, and nothing is read behind its back.
        with pytest.raises(AegisError) as held:
            driver("milvus").source(made.site("backup", params), params)
        assert held.value.code == "milvus-lite-open"
    record = made.backup("one")
    assert record.consistency == "exact"
    beside = str(tmp_path / "beside.db")
    made.restore(record, "one", beside=beside, selection=("numbers",))
    with pytest.raises(AegisError) as taken:
        made.restore(record, "one", beside=beside)
    assert taken.value.code == "milvus-place-taken"
    made.step("load", made.params("one", beside=beside), "undo")
    with opened(beside) as client:
        assert client.list_collections() == ["numbers"], "what was there before is there"
    with pytest.raises(AegisError) as missing:
        made.stage(record, "one", selection=("other",))
    assert missing.value.code == "milvus-not-in-set"
    with pytest.raises(AegisError) as other:
        driver("milvus").source(made.site("backup", params), params)
    assert other.value.code == "milvus-lineage-changed"


def test_a_restored_collection_that_differs_is_never_swapped(tmp_path: Path) -> None:
    path = str(tmp_path / "data.db")
    made = Rig(tmp_path / "rig", {"one": {"connection": path, "server": {"mode": "lite"}}})
    with opened(path) as client:
        fill(client)
    record = made.backup("one")
    made.stage(record, "one")
    made.step("load", made.params("one"))
    with opened(path) as client:
        (fresh,) = [one for one in client.list_collections() if one.startswith("docs__aegis_")]
        client.upsert(fresh, [{**row(4, "k4"), "v": [0.5] * 8}], partition_name="p1")
    with pytest.raises(AegisError) as differs:
        made.step("compare", made.params("one"))
    assert differs.value.code == "milvus-restored-differs"
    made.step("load", made.params("one"), "undo")
    with opened(path) as client:
        assert client.list_collections() == ["docs", "numbers"]


def test_an_old_collection_is_never_taken_for_a_restored_one_that_is_gone(tmp_path: Path) -> None:
    """Somebody removes what looks like a leftover, after it was compared and before it is swapped."""
    path = str(tmp_path / "data.db")
    made = Rig(tmp_path / "rig", {"one": {"connection": path, "server": {"mode": "lite"}}}, keep="no")
    with opened(path) as client:
        fill(client)
    record = made.backup("one")
    with opened(path) as client:
        client.insert("docs", [row(9, "after the backup")])
    made.stage(record, "one")
    made.step("load", made.params("one"))
    made.step("compare", made.params("one"))
    with opened(path) as client:
        (fresh,) = [one for one in client.list_collections() if one.startswith("docs__aegis_")]
        client.drop_collection(fresh)
    with pytest.raises(UnknownOutcomeError) as unclear:
        made.step("swap", made.params("one"))
    assert "old one has its name still" in unclear.value.detail
    made.step("swap", made.params("one"), "undo")
    made.step("load", made.params("one"), "undo")
    with opened(path) as client:
        assert client.list_collections() == ["docs", "numbers"]
        assert "after the backup" in rows(client, "docs"), "the old collection is as it was"


@pytest.mark.parametrize(("version", "old"), [("3.2.0", True), ("3.0", True), ("3.2.1", False), ("3.10.0", False)])
def test_versions_that_lose_rows_are_known(version: str, old: bool) -> None:
    assert lite.too_old(version) is old
