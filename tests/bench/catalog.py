"""What looking at a large catalog costs: `plan`, `status` and a log job over many records of log in two folders, first
without anything remembered, then again. `python -m tests.bench.catalog [RECORDS]`.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from aegis_plan.catalog.record import LogRecord, SetRecord, StoredObject
from aegis_plan.cli.wire import open_site
from aegis_plan.clock import new_id
from aegis_plan.repositories import keys, records
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.sealing.signatures import sign
from aegis_plan.stores.postgresql.positions import Position, parse
from tests.bench.measure import Cost, measured
from tests.repositories.catalogs import signed_key
from tests.thread.world import World, world

SECONDS = 10
"""Between two ranges of a stream."""


def fill(here: World, count: int) -> None:
    """Puts `count` ranges before the newest set, as a stream would have written them, into every repository."""
    site = open_site(here.folder / "site" / "seoul.yaml")
    private = site.keys.signing
    assert private is not None
    places = [here.repository(name) for name in ("one", "two")]
    known = records.shelf(
        "aegis", "policy-db", {"seoul": site.public().signer}, {"one": LocalRepository("one", places[0])}, cache=None
    )
    newest = max((record for record in known.records if isinstance(record, SetRecord)), key=lambda one: one.not_after)
    end = parse(newest.begin)
    first = end.lsn - count * 64
    previous: tuple[str, ...] = ()
    made: set[Path] = set()
    for number in range(count):
        now = newest.begun - timedelta(seconds=SECONDS * (count - number))
        identity = new_id(now)
        begin = Position(end.timeline, first + number * 64)
        upto = Position(end.timeline, begin.lsn + 64)
        name = f"log-{now:%Y%m%d}-{os.urandom(6).hex()}"
        lineage = keys.lineage_root("aegis", "policy-db", newest.lineage)
        sealed = os.urandom(200)
        stored = StoredObject(
            name=f"{begin.lsn:016X}-{upto.lsn:016X}-{identity[-6:]}",
            key=f"{lineage}log/{end.timeline:08X}/{begin.lsn:016X}-{upto.lsn:016X}-{identity[-6:]}",
            plain_size=64,
            plain_sha256=os.urandom(32).hex(),
            sealed_size=len(sealed),
            sealed_sha256=os.urandom(32).hex(),
            sealed_crc32=os.urandom(4).hex(),
        )
        record = LogRecord(
            id=identity,
            system="aegis",
            store="policy-db",
            lineage=newest.lineage,
            written=now,
            site="seoul",
            previous=previous,
            begin=str(begin),
            end=str(upto),
            covers_until=now,
            key=name,
            objects=(stored,),
        )
        data, digest = sign(record, "seoul", private)
        previous = (digest,)
        for place in places:
            for key, body in (
                (stored.key, sealed),
                (keys.data_key("aegis", "policy-db", newest.lineage, name, 0), signed_key(name, "seoul", private)),
                (keys.record("aegis", "policy-db", newest.lineage, identity), data),
            ):
                path = place / key
                if path.parent not in made:
                    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    made.add(path.parent)
                path.write_bytes(body)


def show(what: str, cost: Cost, note: str = "") -> None:
    print(f"  {what:34} {cost.wall:8.2f} {cost.cpu:8.2f} {cost.peak:9.0f}   {note}", flush=True)


def run(count: int) -> None:
    with world(["one", "two"]) as here:
        here.ok("apply", "-y", timeout=600)  # slot, the first full, log
        begun = time.monotonic()
        fill(here, count)
        print(
            f"{count} records of log in each of two folders (written in {time.monotonic() - begun:.0f} s);"
            f" load {os.getloadavg()[0]:.1f}"
        )
        print(f"  {'':34} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9}")
        # Only jobs of a site remember what was read; looks just use it.
        for turn in ("cold", "warm"):
            for words in (["plan"], ["status"], ["backup", "policy-db", "--log", "-y"]):
                for left in here.site.glob("catalog.sqlite*") if turn == "cold" else ():
                    left.unlink()
                show(
                    f"aegis {' '.join(words)}, {turn}", measured(here.command(*words), env=here.env(), cwd=here.folder)
                )


def main() -> None:
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 30_000)


if __name__ == "__main__":
    main()
