"""A declared bandwidth is kept to: told by a clock that moves only when the writer sleeps."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from aegis_plan.repositories import setwriter
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.sealing.keys import new_data_key

MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("bandwidth", "least", "most"), [(MIB, 18.0, 21.0), (4 * MIB, 3.0, 6.0), (None, 0.0, 0.0)])
def test_sealed_bytes_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bandwidth: int | None, least: float, most: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(setwriter, "time", clock)
    data = random.Random(7).randbytes(20 * MIB)
    with setwriter.SetWriter(
        {"one": LocalRepository("one", tmp_path)},
        system="aegis",
        store="db",
        lineage="1-18",
        root="sets/s",
        key=new_data_key("s"),
        level=1,
        stop=lambda: None,
        progress=lambda _done: None,
        bandwidth=bandwidth,
        patience=1e9,
    ) as writer:
        writer.add("base", (data[at : at + 65536] for at in range(0, len(data), 65536)))
        written = writer.finish()
    assert written.plain_bytes == len(data)
    assert least <= clock.now - 1000.0 <= most
