"""The full Milvus server: what it is asked, what it refuses, and how it is found and left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from aegis_plan.errors import AegisError
from aegis_plan.stores.drivers import driver
from aegis_plan.stores.milvus import paging
from aegis_plan.stores.milvus.collection import describe
from aegis_plan.stores.milvus.connection import connect
from aegis_plan.stores.milvus.model import BackupParams
from tests.milvus.cases import contents
from tests.milvus.rig import Rig
from tests.milvus.test_lite import KEYS, NUMBERS
from tests.milvus.world import make
from tests.servers import ports
from tests.servers.milvus import TOKEN, MilvusServer


def table(client: MilvusClient, name: str, key: DataType, keys: list[Any], **more: Any) -> None:
    """A collection with a row for each key, loaded."""
    schema = client.create_schema(auto_id=more.pop("auto_id", False), enable_dynamic_field=True)
    schema.add_field("id", key, is_primary=True, **({"max_length": 100} if key == DataType.VARCHAR else {}))
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
    index = client.prepare_index_params()
    index.add_index("v", index_type="HNSW", metric_type="L2", params={"M": 8, "efConstruction": 32})
    client.create_collection(name, schema=schema, index_params=index, **more)
    client.insert(
        name, [{**({} if one is None else {"id": one}), "v": [at, 1, 2, 3], "at": at} for at, one in enumerate(keys)]
    )


@pytest.fixture
def client(server: MilvusServer) -> Iterator[MilvusClient]:
    """A server without any collection."""
    with closing(server.client()) as opened:
        yield opened
        for name in opened.list_collections():
            for alias in opened.describe_collection(name).get("aliases", []):
                opened.drop_alias(alias)
            opened.drop_collection(name)


def rig(server: MilvusServer, base: Path, **fields: Any) -> Rig:
    member = {"connection": server.address, "server": {"token": TOKEN, **fields}}
    return Rig(base, {"one": member})


def test_traps_of_keys_and_what_is_put_aside_and_back(
    server: MilvusServer, client: MilvusClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "FIRST_ROWS", 1)
    monkeypatch.setattr(paging, "BYTES", 1)
    controls = ["\x01", "\r", "\x1f"]
    table(client, "words", DataType.VARCHAR, [*KEYS, *controls])
    table(client, "numbers", DataType.INT64, NUMBERS)
    table(client, "made", DataType.INT64, [None] * 3, auto_id=True)
    client.release_collection("made")
    client.create_alias("words", "now")
    # Equal keys are taken by the server, counted each, and shown once.
    client.insert("numbers", [{"id": 0, "v": [9, 9, 9, 9], "at": 9}])
    made = rig(server, tmp_path)
    record = made.backup("one")
    assert record.consistency == "fuzzy"
    # One key this server takes for the end of all: it counts the row, and no query and no search ever gives it.
    assert client.get("numbers", ids=[2**63 - 1]) == []
    assert record.details["rows"] == len(KEYS) + len(controls) + len(NUMBERS) - 1 + 3
    assert record.details["withheld"] == 1
    assert record.details["counted"] == record.details["rows"] + 2
    assert {"milvus-rows-differ", "milvus-row-withheld"} <= made.codes()
    assert str(client.get_load_state("made")["state"]) == "NotLoad", "what was loaded for the backup is released"
    before = {one: contents(client, one) for one in ("words", "numbers")}
    keys = contents(client, "made")["rows"]["_default"]
    client.delete("words", filter='id != ""')
    client.drop_collection("numbers")
    client.drop_collection("made")

    # A step after the swap fails: everything goes back to how it was.
    made.stage(record, "one")
    for kind in ("load", "compare", "swap"):
        made.step(kind, made.params("one"))
    assert contents(client, "now")["rows"] == before["words"]["rows"]
    for kind in ("swap", "compare", "load"):
        made.step(kind, made.params("one"), "undo")
    assert client.list_collections() == ["words"]
    assert client.describe_collection("words")["aliases"] == ["now"]
    assert str(client.get_load_state("words")["state"]) == "Loaded"
    assert set(contents(client, "words")["rows"]["_default"]) == {""}

    made.restore(record, "one")
    assert {one: contents(client, one) for one in ("words", "numbers")} == before
    # Keys that the server makes are made anew where none may be given, and that is told.
    renewed = contents(client, "made")["rows"]["_default"]
    assert client.describe_collection("made")["auto_id"]
    assert sorted(row["at"] for row in renewed.values()) == sorted(row["at"] for row in keys.values())
    assert not set(renewed) & set(keys)
    assert {"milvus-old-kept", "milvus-keys-renewed"} <= made.codes()
    (old,) = [one for one in client.list_collections() if "__aegis_old_" in one]
    assert str(client.get_load_state(old)["state"]) == "NotLoad"
    assert made.backup("one").details["collections"] == 3


def test_who_is_refused_and_who_is_not_there(server: MilvusServer, tmp_path: Path) -> None:
    false = {"one": {"connection": server.address, "server": {"token": "root:wrong"}}}
    made = Rig(tmp_path / "a", false)
    params = BackupParams(store="vectors", member="one", lineage="milvus-1").model_dump(mode="json")
    with pytest.raises(AegisError) as wrong:
        driver("milvus").source(made.site("backup", params), params)
    assert wrong.value.code == "milvus-login-refused"
    assert "root" not in str(wrong.value)
    (nobody,) = ports.free(1)
    silent = Rig(tmp_path / "b", {"one": {"connection": f"http://127.0.0.1:{nobody}", "server": {"token": TOKEN}}})
    looked = silent.look("one")
    assert (looked.state, looked.lineage) == ("unreachable", None)
    assert "does not answer" in looked.reason
    refused = made.look("one")
    assert refused.state == "unreachable"
    assert "refuses the login" in refused.reason
    assert "wrong" not in refused.reason


def test_each_lack_has_its_own_words(server: MilvusServer, client: MilvusClient, tmp_path: Path) -> None:
    world = make(tmp_path / "system", server.address, '{token: "${env:T}", collections: [gone]}')
    ran = world.aegis("check", env={"T": TOKEN})
    assert "milvus-collection-missing" in ran.text
    ran = world.aegis("check", env={"T": "root:wrong"})
    assert "milvus-login-refused" in ran.text
    assert "root:wrong" not in ran.text
    ran = world.aegis("backup", "vectors", "-y", env={"T": "root:wrong"})
    assert ran.code == 1
    assert "member-unreachable" in ran.text
    path = world.folder / "plans" / "aegis.yaml"
    path.write_text(path.read_text().replace("collections: [gone]", "database: nowhere"))
    assert "milvus-database-missing" in world.aegis("check", env={"T": TOKEN}).text


def test_another_server_under_the_same_name_is_noticed(
    server: MilvusServer, client: MilvusClient, tmp_path: Path
) -> None:
    table(client, "one", DataType.INT64, [1, 2])
    made = rig(server, tmp_path)
    lineage = made.look("one").lineage
    assert lineage.startswith("milvus-")
    assert lineage != "milvus-unnamed"
    assert made.look("one").lineage == lineage
    params = BackupParams(store="vectors", member="one", lineage="milvus-1").model_dump(mode="json")
    with pytest.raises(AegisError, match="another Milvus") as refused:
        driver("milvus").source(made.site("backup", params), params)
    assert refused.value.code == "milvus-lineage-changed"


def test_pages_rest_on_the_clock_of_the_server(server: MilvusServer, client: MilvusClient, tmp_path: Path) -> None:
    """A clock of this host that stands still or runs ahead changes nothing: no page is asked for by it."""
    table(client, "one", DataType.INT64, [1, 2])
    made = rig(server, tmp_path)
    with connect(made.site("look", {}), "vectors", "one") as opened:  # type: ignore[arg-type]
        moment = paging.fresh(opened)
        physical = moment["guarantee_timestamp"] >> 18
        later = paging.fresh(opened)["guarantee_timestamp"]
    assert later > moment["guarantee_timestamp"]
    assert abs(physical / 1000 - time.time()) < 86400, "it is one of a server's oracle"


def test_a_collection_of_which_a_part_is_loaded_stays_so(
    server: MilvusServer, client: MilvusClient, tmp_path: Path
) -> None:
    table(client, "parted", DataType.INT64, [1, 2])
    client.create_alias("parted", "other_name")
    client.release_collection("parted")
    for name in ("p1", "p2"):
        client.create_partition("parted", name)
    client.insert("parted", [{"id": 7, "v": [1, 2, 3, 4], "at": 1}], partition_name="p1")
    client.load_partitions("parted", ["p1"])
    made = rig(server, tmp_path)
    record = made.backup("one")
    assert record.details["rows"] == 3

    def loaded() -> list[str]:
        with connect(made.site("look", {}), "vectors", "one") as opened:  # type: ignore[arg-type]
            assert describe(opened, "other_name") is None, "an alias is never taken for a collection"
            found = describe(opened, "parted")
            assert found is not None
            return [*found.loaded_partitions]

    assert loaded() == ["p1"]
    made.restore(record, "one")
    assert loaded() == ["p1"]
