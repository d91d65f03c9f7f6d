"""The demo's Milvus: a Milvus Lite folder with embeddings, each of which can be told from its number."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis_plan.cli.demo import background
from aegis_plan.cli.demo.artifacts import MissingError

ENTITIES = 2_000
COLLECTION = "policy_embeddings"
_DIMENSION = 32


@dataclass(frozen=True)
class Vectors:
    """One Milvus Lite database. Milvus Lite holds what it opened until its process ends: each use is a process."""

    path: Path

    def fill(self) -> None:
        self._run("fill")

    def destroy(self) -> int:
        """Deletes all of it. Returns how many bytes are gone."""
        size = sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())
        shutil.rmtree(self.path)
        return size

    def differences(self) -> tuple[int, int]:
        """How many entities were compared, vectors bit for bit, and how many are not as they were made."""
        found, wrong = self._run("compare").split()
        return int(found), int(wrong)

    def _run(self, word: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "aegis_plan.cli.demo.vectors", word, str(self.path)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            log = self.path.parent / "milvus.log"
            log.write_text(done.stderr)
            raise background.failed("Milvus Lite", done.stderr.strip()[-500:], log)
        return done.stdout.splitlines()[-1] if done.stdout else ""


def prepare(path: Path) -> Vectors:
    """Makes the folder around it. Raises MissingError where Milvus Lite is not installed."""
    import importlib.util

    if importlib.util.find_spec("milvus_lite") is None:
        raise MissingError("the package milvus-lite is not installed")
    path.parent.mkdir(parents=True, exist_ok=True)
    return Vectors(path)


def _fill(path: str) -> None:
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(path)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("number", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=_DIMENSION)
    schema.add_field("name", DataType.VARCHAR, max_length=64)
    index = client.prepare_index_params()
    index.add_index("embedding", index_type="FLAT", metric_type="L2")
    client.create_collection(COLLECTION, schema=schema, index_params=index)
    for first in range(0, ENTITIES, 500):
        client.insert(COLLECTION, [_entity(number) for number in range(first, first + 500)])
    client.close()


def _compare(path: str) -> str:
    from pymilvus import MilvusClient

    client = MilvusClient(path)
    client.load_collection(COLLECTION)
    rows = client.query(COLLECTION, filter="number >= 0", output_fields=["*"], limit=2 * ENTITIES)
    client.close()
    found = {row["number"]: row for row in rows}
    wrong = abs(len(rows) - ENTITIES)
    for number in range(ENTITIES):
        row, made = found.get(number), _entity(number)
        same = row is not None and (row["name"], row["tier"]) == (made["name"], made["tier"])
        if row is None or not same or _bits(row["embedding"]) != _bits(made["embedding"]):
            wrong += 1
    return f"{len(rows)} {wrong}"


def _entity(number: int) -> dict[str, Any]:
    chance = random.Random(number)
    vector = [chance.uniform(-1, 1) for _ in range(_DIMENSION)]
    return {"number": number, "embedding": vector, "name": f"policy {number:05}", "tier": number % 3 + 1}


def _bits(vector: Any) -> bytes:
    return struct.pack(f"{len(vector)}f", *vector)


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        _fill(sys.argv[2])
    else:
        print(_compare(sys.argv[2]))
