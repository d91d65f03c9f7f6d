"""Backup of a real server against `pg_basebackup | zstd` in one run: wall, CPU and peak memory of each.

`python -m tests.bench.backup [MEGABYTES]`; it prints and never judges.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

from aegis_plan.actions.backup import ACTION
from tests.postgresql.restore.rig import World, binaries, world


def measured(name: str, work: Callable[[], None]) -> None:
    """Runs `work` in a child of its own, so that its CPU and memory are its alone."""
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 # shown, then the child ends
            print(repr(error), file=sys.stderr)
            os._exit(1)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = resource.getrusage(resource.RUSAGE_SELF)
        cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        peak = max(own.ru_maxrss, children.ru_maxrss) >> 10
        print(f"{name:24} {time.monotonic() - begun:7.2f} s wall {cpu:7.2f} s CPU {peak:6d} MiB", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)


def ours(here: World) -> None:
    site = here.site("backup", {"store": "db", "member": "a", "lineage": here.lineage, "method": "full"})
    site.repositories.pop("two")
    ACTION.act(site)


def theirs(here: World) -> None:
    dump = (
        f"{binaries()}/pg_basebackup -D - -Ft -Xf -c fast -d '{here.cluster.dsn}' | zstd -q -3 > {here.base}/peer.zst"
    )
    subprocess.run(["sh", "-c", dump], check=True)


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 800
    with world("max_wal_size=2GB\n") as here:
        here.cluster.sql(
            f"create unlogged table t as select g, repeat(md5(g::text), 8) || random() from"
            f" generate_series(1, {size * 3400}) g"
        )
        here.cluster.sql("alter table t set logged")
        here.cluster.sql("checkpoint")
        print(here.cluster.sql("select pg_size_pretty(sum(pg_database_size(oid))) from pg_database")[0][0])
        for turn in range(2):
            here.run = f"20261123T00000{turn}Z-abcdef"  # a run that has its set takes no second one
            measured("pg_basebackup | zstd -3", lambda: theirs(here))
            measured("aegis, sealed", lambda: ours(here))


if __name__ == "__main__":
    main()
