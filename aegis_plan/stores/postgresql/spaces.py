"""Tablespaces that a log makes while it is replayed. It never lets a replay write into a folder that holds data.

A server that replays CREATE TABLESPACE works in the folder that the record names, wherever its data directory is: on
the host of the running server that is the running server's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.model import StageParams
from aegis_plan.stores.postgresql.positions import Position, format_lsn, segment_floor
from aegis_plan.stores.postgresql.segments import Spool, read_history
from aegis_plan.stores.programs import execute

_CREATE = re.compile(r'desc: CREATE (\d+) "(.*?)"\n?(?=rmgr:|\Z)', re.DOTALL)


def made(binaries: str, spool: Path, begin: Position, end: Position, size: int) -> Iterator[tuple[str, str]]:
    """OID and folder of each tablespace that is made between two positions, over the timelines between them."""
    history = spool / f"{end.timeline:08X}.history"
    switches = read_history(history.read_bytes()) if history.exists() else []
    left = {switch.timeline: switch.position for switch in switches if switch.timeline >= begin.timeline}
    at = begin.lsn
    for timeline in [*(number for number in left if number != end.timeline), end.timeline]:
        upto = left.get(timeline, end.lsn) if timeline != end.timeline else end.lsn
        if at < upto:
            command = [f"{binaries}/pg_waldump", "-p", str(spool), "-t", str(timeline), "-r", "Tablespace"]
            _, text, _ = execute([*command, "-s", format_lsn(at), "-e", format_lsn(upto)], timeout=6 * 3600.0)
            yield from _CREATE.findall(text)
        at = segment_floor(upto, size)


def hold_free(params: StageParams, begin: Position, spool: Spool) -> None:
    """Holds that the folders that the staged log names are free, and makes those that are missing, without which a
    server refuses to replay.

    Raises AegisError `tablespace-occupied`, `place-refused`."""
    end = Position(params.timeline, spool.end(params.timeline) or begin.lsn)
    for oid, folder in made(params.place.binaries, spool.folder, begin, end, spool.size):
        if not folder:
            continue
        if any(any(inside.iterdir()) for inside in Path(folder).glob("PG_*") if inside.is_dir()):
            raise AegisError(
                "tablespace-occupied",
                "the folder of a tablespace holds data that this restore may not touch",
                f"tablespace {oid} at {folder} is made by the log behind the backup set, and a replay writes into it",
                "it may belong to a running server: take a new full, which a restore puts elsewhere; when it was the "
                "lost server's, move it away and apply again",
            )
        if Path(folder).exists():
            continue
        try:
            Path(folder).mkdir(mode=0o700, parents=True)
            if spool.ids:
                os.chown(folder, *spool.ids)
        except OSError as error:
            raise AegisError(
                "place-refused",
                "restored data cannot be put there",
                f"{folder}: {error.strerror}",
                "let the account of the site write into its parent folder",
            ) from None
