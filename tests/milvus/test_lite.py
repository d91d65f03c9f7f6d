"""A Milvus Lite file through the product's own commands: backed up, damaged, restored, compared row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from tests.milvus.world import World, make

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
    again = world.aegis("restore", "vectors", "-y", "--only", "collection/numbers", "--beside", str(path))
    assert again.code == 1
    assert "milvus-place-taken" in again.text
    with world.client(str(path / "milvus.db")) as client:
        assert set(rows(client, "numbers")) == set(NUMBERS), "what was there is there"
    missing = world.aegis("restore", "vectors", "-y", "--only", "collection/other", "--beside", str(path))
    assert "milvus-not-in-set" in missing.text
    wrong = world.aegis("restore", "vectors", "-y", "--only", "label/other", "--beside", str(path))
    assert "milvus-selection" in wrong.text


def test_a_file_that_is_open_elsewhere_is_refused_and_one_that_is_lost_comes_back(world: World) -> None:
    with world.client() as client:
        before = rows(client, "docs")
        ran = world.aegis("backup", "vectors", "-y")
        assert ran.code == 1
        assert "milvus-lite-open" in ran.text
        assert "milvus-lite-open" in world.aegis("check").text
    Path(world.connection).rename(world.folder / "lost")
    assert "milvus-lite-not-there" in world.aegis("check").text
    world.ok("restore", "vectors", "-y")
    with world.client() as client:
        assert rows(client, "docs") == before
    lineages = [one["lineage"] for one in world.records()]
    assert len(set(lineages)) == 2, "a new file is another history"
