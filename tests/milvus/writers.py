"""Programs that write while a backup is taken: rows of their own come and go, and nobody else's are touched."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymilvus import DataType, MilvusClient

from tests.milvus.cases import Case

FIRST = 10**15
HALVES = (DataType.FLOAT16_VECTOR, DataType.BFLOAT16_VECTOR)


def moving(key: Any) -> bool:
    """Whether it is a key of theirs."""
    return key.startswith("moving") if isinstance(key, str) else FIRST <= key < 2 * FIRST


@contextmanager
def writing(connect: Callable[[], MilvusClient], cases: list[Case]) -> Iterator[list[int]]:
    """Writes to each collection until the block ends; gives the number of writes that were acknowledged."""
    stop, done = threading.Event(), [0]

    def work(one: Case) -> None:
        pattern = next((row for rows in one.rows.values() for row in rows), None)
        if pattern is None or any(field.type in HALVES for field in one.fields):
            return  # the server dies of two writes of such vectors to one that is loaded
        client = connect()
        for number in itertools.count():
            if stop.is_set():
                break
            keys = [f"moving {number}" if one.key == DataType.VARCHAR else FIRST + number]
            client.insert(one.name, [{**pattern, "id": key} for key in keys])
            done[0] += 1
            if number % 3 == 0:
                client.delete(one.name, ids=keys)
                done[0] += 1
        client.close()

    threads = [threading.Thread(target=work, args=(one,)) for one in cases]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def without_moving(found: dict[str, Any], one: Case) -> dict[str, Any]:
    """Contents without their rows, after a look that each is as it was written."""
    pattern = next((row for rows in one.rows.values() for row in rows), None)
    rows = {}
    for partition, held in found["rows"].items():
        for key, row in held.items():
            assert not moving(key) or (pattern is not None and row["id"] == key)
        rows[partition] = {key: row for key, row in held.items() if not moving(key)}
    return {**found, "rows": rows}
