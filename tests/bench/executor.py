"""What the executor costs a step beside the bare fsyncs: `python tests/bench/executor.py [steps]`. The dispatcher does
nothing, so that all that is left is order, journal and decisions.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from aegis_plan.clock import SystemClock
from aegis_plan.dispatch.contract import Attempt, Outcome
from aegis_plan.journal.entry import Entry
from aegis_plan.journal.file import FIRST, NAME, encode, read
from aegis_plan.journal.mirror import Mirror
from aegis_plan.journal.replay import replay
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.run.approval import nobody
from aegis_plan.run.executor import Executor
from tests.run.scripted import NOW, plan, step


class Idle:
    """Every attempt is done as soon as it is asked about."""

    def ledger(self, site: str) -> str:
        return "ledger"

    def submit(self, attempt: Attempt) -> None:
        """Nothing to do."""

    def attach(self, attempt: Attempt) -> None:
        """Nothing to do."""

    def poll(self, key: str) -> Outcome:
        return Outcome(key=key, verdict="done", ledger="ledger", begun=NOW, ended=NOW)

    def wait(self, keys: object, seconds: float) -> None:
        """Never needed."""

    def cancel(self, key: str, reason: str) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing was started."""


def measure(count: int, parallel: int, mirrored: bool) -> tuple[float, float, float]:
    """Milliseconds and CPU milliseconds a step of a chain (`parallel` 1) or of independent steps, and milliseconds of
    two bare fsyncs of its bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        needs = [(f"s{number - 1}",) if number and parallel == 1 else () for number in range(count)]
        made = plan(*(step(f"s{number}", *before) for number, before in enumerate(needs)))
        authority = LocalRepository("authority", folder / "state")
        mirror = Mirror([authority], "aegis", "run", lambda _, data: data) if mirrored else None
        executor = Executor(
            made,
            "a" * 64,
            "run",
            folder / "run",
            Idle(),
            authority,
            SystemClock(),
            nobody,
            lambda event: None,
            parallel=parallel,
            mirror=mirror,
        )
        begin, used = time.perf_counter(), time.process_time()
        assert executor.apply().exit_code == 0
        took, spent = time.perf_counter() - begin, time.process_time() - used
        size = (folder / "run" / NAME).stat().st_size // count
        begin = time.perf_counter()
        with (folder / "bare").open("wb", buffering=0) as file:
            for _ in range(count):
                for part in (size // 2, size - size // 2):
                    file.write(b"x" * part)
                    os.fsync(file.fileno())
        bare = time.perf_counter() - begin
        return took / count * 1000, spent / count * 1000, bare / count * 1000


def replayed(count: int) -> tuple[float, float]:
    """CPU seconds to read and check, and to fold, a journal of `count` entries."""
    with tempfile.TemporaryDirectory() as name:
        import hashlib

        previous, lines = FIRST, []
        for number in range(1, count + 1):
            key = f"run:s{number // 3}:act:1"
            kind, data = (
                ("sent", {"key": key, "verb": "act", "number": 1, "ledger": "l", "epoch": 1, "params": {}}),
                ("outcome", {"key": key, "verb": "act", "outcome": {"verdict": "done", "outputs": {"bytes": 1}}}),
                ("settled", {"state": "done"}),
            )[number % 3]
            entry = Entry(number=number, at=NOW, kind=kind, step=f"s{number // 3}", data=data, previous=previous)
            line = encode(entry)
            previous = hashlib.sha256(line).hexdigest()
            lines.append(line)
        (Path(name) / NAME).write_bytes(b"\n".join(lines) + b"\n")
        begin = time.process_time()
        entries = read(Path(name))
        middle = time.process_time()
        replay(entries)
        return middle - begin, time.process_time() - middle


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for words, parallel, mirrored in (
        ("chain", 1, False),
        ("eight at a time", 8, False),
        ("chain, mirrored", 1, True),
    ):
        step_ms, cpu_ms, bare_ms = measure(count, parallel, mirrored)
        print(
            json.dumps(
                {
                    "case": words,
                    "steps": count,
                    "ms_a_step": round(step_ms, 3),
                    "cpu_ms": round(cpu_ms, 3),
                    "bare_fsyncs_ms": round(bare_ms, 3),
                }
            )
        )
    checked, folded = replayed(100_000)
    print(
        json.dumps(
            {"case": "replay of 100,000 entries", "read_cpu_s": round(checked, 2), "fold_cpu_s": round(folded, 2)}
        )
    )


if __name__ == "__main__":
    main()
