"""Incrementals of PostgreSQL: the server's own (18), and by the hashes of pages (15), of a table of several segments.

`python -m tests.bench.incremental [MEGABYTES]`. Each restores the chain beside and holds its rows against the server's.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.bench.measure import Cost, measured
from tests.thread.test_versions import sets
from tests.thread.world import World, world

CHANGED = "UPDATE big SET body = 'changed ' || id WHERE id % 100 = 0 AND id < 200000"
ROWS = "SELECT count(*), sum(hashtext(body)::bigint), sum(id) FROM big"


def command(here: World, *words: str) -> Cost:
    return measured(here.command(*words), env=here.env(), cwd=here.folder, server=here.server.pid)


def show(what: str, cost: Cost, here: World) -> None:
    stored = sum(one.sealed_size for one in sets(here)[-1].objects) >> 20
    print(
        f"  {what:28} {cost.wall:7.2f} s wall {cost.cpu:7.2f} s CPU {cost.server:7.2f} s server's {cost.peak:6.0f} MiB "
        f"peak {stored:6} MiB stored",
        flush=True,
    )


def one(major: int, megabytes: int) -> None:
    with world(["seoul"], major=major) as here:
        here.sql("ALTER SYSTEM SET max_wal_size = '4GB'")
        here.sql("SELECT pg_reload_conf()")
        here.sql(
            "CREATE TABLE big AS SELECT g AS id, md5(g::text) || md5((g * 7)::text) || repeat('policy ', 12) AS body"
            f" FROM generate_series(1, {megabytes * 5600}) g"
        )
        here.sql("VACUUM FREEZE big")
        here.sql("CHECKPOINT")
        size = here.sql("SELECT pg_size_pretty(pg_relation_size('big')), pg_relation_size('big') >> 30")[0]
        print(f"\nPostgreSQL {major}, one table of {size[0]} in {size[1] + 1} segments; load {os.getloadavg()[0]:.1f}")
        show("first full, slot and log", command(here, "apply", "-y"), here)
        show("full", command(here, "backup", "policy-db", "--full", "-y"), here)
        here.sql(CHANGED)
        here.sql("CHECKPOINT")
        show("incremental, 1% of rows", command(here, "backup", "policy-db", "--incremental", "-y"), here)
        assert sets(here)[-1].method == "incremental", sets(here)[-1].details
        here.ok("backup", "policy-db", "--log", "-y")
        rows = here.sql(ROWS)
        place = here.folder.parent / "beside"
        place.mkdir()
        if here.server.user:
            shutil.chown(place, here.server.user)
        show("restore of both", command(here, "restore", "policy-db", "--beside", str(place / "data"), "-y"), here)
        held(here, place, rows)


def held(here: World, place: Path, rows: list[tuple[object, ...]]) -> None:
    from tests.servers.postgresql import Server, free_port

    other = Server(place, here.server.binaries, here.server.user, port=free_port())
    with (other.data / "postgresql.conf").open("a") as conf:
        conf.write(f"\nport = {other.port}\nunix_socket_directories = '{here.server.sockets}'\n")
    try:
        other.start()
        assert other.sql(ROWS) == rows
        print("  the rows are the same")
    finally:
        other.end()


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    for major in (15, 18):
        one(major, megabytes)


if __name__ == "__main__":
    main()
