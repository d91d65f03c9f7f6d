"""All measurements in one run: `python -m tests.bench [MEGABYTES] [ROUNDS]`. It prints and never judges. The catalog is
a small one here; `python -m tests.bench.catalog` takes 30,000 records."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from tests.bench.measure import measured

ROOT = Path(__file__).parent.parent.parent


def starts() -> None:
    """Seconds of the commands that people wait for most often; the second of each is the documents' own."""
    for words in (["--help"], ["-C", "plans/aegis", "validate"]):
        costs = [measured([sys.executable, "-m", "aegis_plan", *words], env=os.environ, cwd=ROOT) for _ in range(7)]
        wall, cpu = min(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs)
        print(f"aegis {' '.join(words):28} {wall:6.2f} s wall (best of 7) {cpu:6.2f} s CPU (median)", flush=True)


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    starts()
    # Each in a process of its own, so that its memory is its own.
    for module, words in (
        ("executor", []),
        ("planning", []),
        ("beside", []),
        ("catalog", ["3000"]),
        ("upload", []),
        ("postgresql", sys.argv[1:]),
        ("incremental", sys.argv[1:2]),
        ("milvus", []),
    ):
        subprocess.run([sys.executable, "-m", f"tests.bench.{module}", *words], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
