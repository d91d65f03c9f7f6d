"""The step `prove`: reads every byte that a restore needs, verifies it, and says whether there is room for it once the
old data is gone. It writes no data and touches nothing; without it nothing may be removed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed, work_folder
from aegis_plan.catalog.record import LogRecord, Record, SetRecord
from aegis_plan.clock import stamp
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.stores.fetcher import Fetcher, archives
from aegis_plan.stores.postgresql import olddata
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.control_file import cluster
from aegis_plan.stores.postgresql.host import check_host, free_tablespace
from aegis_plan.stores.postgresql.model import ProveParams, StageParams
from aegis_plan.stores.postgresql.offer import check_software
from aegis_plan.stores.postgresql.positions import parse
from aegis_plan.stores.postgresql.proof import Passing, Proof
from aegis_plan.stores.postgresql.segments import Switch, join
from aegis_plan.stores.postgresql.stage import Stage
from aegis_plan.stores.postgresql.unpack import Unpacker, files
from aegis_plan.stores.programs import account

SCRATCH = 256 << 20
"""Bytes of log that are on the disk at one time, beside the log that the last set brings along."""


def check_space(place: Any, keep: str, need: int, context: Context) -> None:
    """Refuses old data whose going would not make room enough, or that has no place to go to. Counts files.

    Raises AegisError `no-space`, `old-data-place`, `staging-occupied`."""
    where = places.layout(place)
    # What would keep data from being staged has to show while the old is there.
    for folder in (where.staging, where.spool):
        places.refuse_foreign(folder, context)
    if not where.final.is_dir():
        return
    old, on = olddata.find(where.final), olddata.device(where.final)
    free = places.free_bytes(where)
    then = free + (olddata.frees(old, on, context.check) or 0)
    if then < need:
        raise AegisError(
            "no-space",
            "there is not enough room for the restored data",
            f"{need} bytes are needed at {where.final}; {free} are free, and {then} would be without the old data",
            "make room, or restore beside on another disk",
        )
    if keep == "no":
        return
    goal = Path(keep)
    if not goal.is_dir() or goal.stat().st_dev == on:
        raise AegisError(
            "old-data-place",
            "the old data cannot be moved to where it should be kept",
            f"{goal} is no folder on this host" if not goal.is_dir() else f"{goal} is on the same disk as the data",
            "let keep_old_data name an existing folder on another disk",
        )
    room = os.statvfs(goal)
    size, free = olddata.size(old, context.check), room.f_bavail * room.f_frsize
    if free < size:
        raise AegisError(
            "old-data-place",
            "the old data cannot be moved to where it should be kept",
            f"it takes {size} bytes, {free} are free in {goal}",
            "make room there, or let keep_old_data name another folder",
        )


class Prove(Stage):
    """Prove that everything needed is whole."""

    kind = "prove"

    def probe(self, context: Context) -> Probed:
        for mark in context.marks:
            if mark.name == "proved":
                return Probed("satisfied", outputs=dict(mark.data))
        return Probed("needed", "it was not read to its end")

    def act(self, context: Context) -> Done:
        probed = self.probe(context)
        if probed.answer == "satisfied":
            return Done(probed.outputs)
        params = ProveParams.model_validate(context.attempt.params)
        account(params.place.run_as)
        check_host(context, params)
        where = places.layout(params.place)
        if params.proved is None:
            if where.final.is_dir():
                major = params.lineage.rpartition("-")[2]
                olddata.refuse_unless_plain(olddata.find(Path(params.place.data_directory)), major)
            check_space(params.place, params.keep, params.need_bytes or 0, context)
        scratch = self._scratch(context)
        try:
            outputs = self._read(context, params, scratch)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        context.mark("proved", **outputs)
        if not params.followed:
            shutil.rmtree(scratch, ignore_errors=True)
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        shutil.rmtree(self._scratch(context), ignore_errors=True)
        return Done()

    def _scratch(self, context: Context) -> Path:
        store = context.attempt.params["store"]
        return work_folder(context) / f"{store}.proof"

    def _read(self, context: Context, params: ProveParams, scratch: Path) -> dict[str, Any]:
        fetcher = Fetcher(context, params.store, params.lineage)
        sets, logs = self._records(context, params, fetcher)
        check_software(context, params, sets[-1])
        total = sum(stored.plain_size for record in [*sets, *logs] for stored in getattr(record, "objects", ()))
        done = 0

        def tick(count: int) -> None:
            nonlocal done
            done += count
            context.check()
            context.progress("fetch and verify", done, total)

        kept = _kept(scratch) if params.proved is not None else None
        if kept is None:
            spool = self._sets(context, params, fetcher, sets, scratch, tick)
            self._take(fetcher, logs, spool, tick)
        else:
            spool = kept
            known = set(params.log)
            # Histories come again: the segments of the rest were checked against them.
            ranges = [one for one in logs if isinstance(one, LogRecord)]
            rest: list[Record] = [one for one in ranges if one.details.get("history") or one.id not in known]
            self._take(fetcher, rest, spool, tick)
        _keep(spool, scratch)
        covers = self._unbroken(params, sets, logs, spool)
        end = spool.end(params.timeline)
        assert end is not None  # proved by _unbroken
        return {"bytes": done, "end": join(params.timeline, end), "covers_until": stamp(covers)}

    def _sets(
        self,
        context: Context,
        params: ProveParams,
        fetcher: Fetcher,
        sets: list[SetRecord],
        scratch: Path,
        tick: Callable[[int], None],
    ) -> Passing:
        shutil.rmtree(scratch, ignore_errors=True)
        root, folder = scratch / "root", scratch / "log"
        for made in (scratch, root, folder):
            made.mkdir(mode=0o700)
        need = parse(sets[-1].end).lsn - parse(sets[-1].begin).lsn + SCRATCH
        free = shutil.disk_usage(scratch).free
        if free < need:
            raise AegisError(
                "no-scratch-space",
                "there is no room in the site's folder to prove the log",
                f"{need} bytes are needed in {scratch.parent}, {free} are free",
                "make room there; nothing was touched",
            )
        unpacker = Proof(root=root, spool=folder, tablespaces={}, ids=None)
        for number, record in enumerate(sets):
            unpacker.keeps_log = number == len(sets) - 1
            self._set(context, params, fetcher, unpacker, record, number > 0, tick, final=False)
        parts = archives(sets[-1])
        if "config" in parts:
            for _ in files(b"".join(fetcher.objects(parts["config"], sets[-1].key))):
                pass
        found = cluster(params.place.binaries, root)
        if found.system_identifier != params.lineage.rpartition("-")[0]:
            raise DamageError(
                "lineage-differs",
                "the backup set holds another server than its record says",
                f"system identifier {found.system_identifier}, lineage {params.lineage}",
            )
        spool = Passing(folder, found.segment_size, found.system_identifier)
        timeline, begin = parse(sets[-1].begin)
        spool.adopt(timeline, begin, parse(sets[-1].end).lsn)
        return spool

    def _tablespace(self, context: Context, params: StageParams, unpacker: Unpacker, oid: str, location: str) -> None:
        if oid not in unpacker.tablespaces:
            staged, _ = free_tablespace(params, oid, location)
            unpacker.tablespaces = {**unpacker.tablespaces, oid: staged}


def _keep(spool: Passing, scratch: Path) -> None:
    """What is known of the log so far, for the step that proves what the old server left."""
    known = {
        "size": spool.size,
        "system_identifier": spool.system_identifier,
        "extents": {str(timeline): spans for timeline, spans in spool.extents.items()},
        "histories": {
            str(timeline): [[switch.timeline, switch.position] for switch in switches]
            for timeline, switches in spool.histories.items()
        },
        "magic": spool.magic,
        "passed": sorted(spool.passed),
    }
    (scratch / "log.json").write_text(json.dumps(known))


def _kept(scratch: Path) -> Passing | None:
    try:
        known = json.loads((scratch / "log.json").read_text())
        # Once the log is worked on, an attempt that was killed leaves it as nobody wrote it down.
        (scratch / "log.json").unlink()
        return Passing(
            scratch / "log",
            known["size"],
            known["system_identifier"],
            extents={int(key): [(low, high) for low, high in spans] for key, spans in known["extents"].items()},
            histories={int(key): [Switch(*one) for one in rows] for key, rows in known["histories"].items()},
            magic=known["magic"],
            passed=set(known["passed"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


ACTION = Prove()
