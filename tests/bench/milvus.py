"""Backup and restore of Milvus through their own commands: rows a second, restore against backup, peak memory.

`python -m tests.bench.milvus [ROWS] [lite|full]`. A row is a key, a vector of 128 floats, a number and a short text.
It prints and never judges.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymilvus import DataType, MilvusClient

from tests.bench.measure import Cost, measured
from tests.milvus.world import World, make
from tests.servers.milvus import TOKEN, run

WIDTH = 128
BATCH = 2000


def fill(client: MilvusClient, rows: int) -> None:
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=WIDTH)
    schema.add_field("n", DataType.INT32)
    index = client.prepare_index_params()
    index.add_index("v", index_type="HNSW", metric_type="L2", params={"M": 16, "efConstruction": 100})
    client.create_collection("bench", schema=schema)
    some = random.Random(1)
    vectors = [[some.random() for _ in range(WIDTH)] for _ in range(BATCH)]
    for begin in range(0, rows, BATCH):
        count = min(BATCH, rows - begin)
        client.insert("bench", [
            {"id": begin + at, "v": [begin / rows, *vectors[at][1:]], "n": at, "text": f"row {begin + at}"}
            for at in range(count)
        ])  # fmt: skip
    client.flush("bench")
    client.create_index("bench", index)
    client.load_collection("bench")


@contextmanager
def worlds(kind: str, folder: Path, rows: int) -> Iterator[World]:
    if kind == "lite":
        (folder / "data").mkdir()
        made = make(folder / "system", str(folder / "data" / "bench.db"), "{mode: lite}")
        with made.client() as client:
            fill(client, rows)
        yield made
        return
    with run() as server:
        made = make(folder / "system", server.address, '{token: "${env:MILVUS_TOKEN}"}')
        made.environment["MILVUS_TOKEN"] = TOKEN
        fill(server.client(), rows)
        yield made


def told(words: str, cost: Cost, rows: int) -> None:
    print(
        f"{words:18} {cost.wall:7.1f} s  {rows / cost.wall:9.0f} rows/s  {cost.cpu:6.1f} s CPU  {cost.peak:6.0f} MiB",
        flush=True,
    )
    for step, took in re.findall(r"✓ vectors\.(\S+) +(.+)", cost.output):
        print(f"    {step:10} {took}")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for kind in sys.argv[2:] or ["full", "lite"]:
        with tempfile.TemporaryDirectory() as text, worlds(kind, Path(text), rows) as world:
            print(f"Milvus {kind}, {rows} rows of {WIDTH} floats", flush=True)
            costs: dict[str, Any] = {}
            for words in (["backup", "vectors", "-y"], ["restore", "vectors", "-y"]):
                costs[words[0]] = measured(world.command(*words), env=world.env(), cwd=world.folder)
                told(words[0], costs[words[0]], rows)
            print(f"restore / backup   {costs['restore'].wall / costs['backup'].wall:7.1f}")


if __name__ == "__main__":
    main()
