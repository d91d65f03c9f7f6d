"""The step `stage`: fetches a chain and its log, verifies every byte on the way and unpacks it beside the old data.

It touches nothing that serves: what it makes carries a note of the run, and only that is removed again.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.record import LogRecord, Record, SetRecord
from aegis_plan.clock import stamp
from aegis_plan.errors import DamageError
from aegis_plan.stores.fetcher import Fetcher, archives
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.configuration import lead_to_itself, put_back
from aegis_plan.stores.postgresql.control_file import cluster
from aegis_plan.stores.postgresql.host import check_host, check_room, free_tablespace
from aegis_plan.stores.postgresql.incremental import strip_label
from aegis_plan.stores.postgresql.manifest import Checker
from aegis_plan.stores.postgresql.manifest import parse as parse_manifest
from aegis_plan.stores.postgresql.model import StageParams
from aegis_plan.stores.postgresql.offer import check_configuration, check_software
from aegis_plan.stores.postgresql.positions import parse, parse_lsn
from aegis_plan.stores.postgresql.segments import Spool, join
from aegis_plan.stores.postgresql.spaces import hold_free
from aegis_plan.stores.postgresql.unpack import Unpacker, sync
from aegis_plan.stores.programs import account

_STALE = re.compile(
    r"\s*(primary_conninfo|primary_slot_name|recovery_\w+|restore_command|archive_cleanup_command|promote_trigger_file)\b"
)


def _covers(newest: SetRecord, ranges: list[LogRecord], ways: dict[int, int]) -> datetime:
    """The moment up to which every commit is in what was staged; `ways` tells where each timeline is left."""
    moment = newest.not_before
    for record in ranges:
        timeline, end = parse(record.end)
        if not record.details.get("history") and end <= ways.get(timeline, -1):
            moment = max(moment, record.covers_until)
    return moment


def _by_pages(record: SetRecord) -> bool:
    """Whether an incremental holds the pages whose hash changed, and not what the server says that changed."""
    return record.method == "incremental" and str(record.details.get("by", "")).startswith("pages")


def _final(sets: list[SetRecord], number: int) -> bool:
    return not any(_by_pages(record) for record in sets[number + 1 :])


class Stage:
    """Fetch, verify and unpack."""

    kind = "stage"

    def probe(self, context: Context) -> Probed:
        params = StageParams.model_validate(context.attempt.params)
        where = places.layout(params.place)
        note = places.read_note(where.staging)
        if note and note.get("state") == "staged" and places.ours(where.staging, context):
            if params.tail and note.get("tail") != params.tail:
                return Probed("needed", "the log that the old server left is not staged")
            return Probed("satisfied", outputs=dict(note["outputs"]))
        return Probed("needed", "nothing whole is staged")

    def act(self, context: Context) -> Done:
        params = StageParams.model_validate(context.attempt.params)
        account(params.place.run_as)
        check_host(context, params)
        where = places.layout(params.place)
        note = places.read_note(where.staging)
        if note and note.get("state") == "staged" and places.ours(where.staging, context):
            if params.tail and note.get("tail") != params.tail:
                return self._extend(context, params, where, note)
            return Done(dict(note["outputs"]))
        # What a killed attempt left takes room that this one needs.
        self._clean(context, where)
        check_room(params)
        try:
            return self._stage(context, params, where)
        except BaseException:
            self._clean(context, where)
            raise

    def undo(self, context: Context) -> Done:
        params = StageParams.model_validate(context.attempt.params)
        where = places.layout(params.place)
        begun = any(mark.name == "staging" for mark in context.marks)
        if not begun and not any(places.ours(folder, context) for folder in (where.staging, where.spool)):
            # It refused before it made anything, as where another run's data lies there: that is not ours to remove.
            return Done()
        self._clean(context, where)
        for mark in context.marks:
            if mark.name == "wrote":
                Path(mark.data["path"]).unlink(missing_ok=True)
        return Done()

    def _clean(self, context: Context, where: places.Layout) -> None:
        for mark in context.marks:
            if mark.name == "tablespace":
                folder = Path(mark.data["path"])
                if places.ours(folder, context):
                    places.remove(folder, context)
        places.remove(where.spool, context)
        places.remove(where.staging, context)

    def _stage(self, context: Context, params: StageParams, where: places.Layout) -> Done:
        ids, run = account(params.place.run_as), context.attempt.run
        fetcher = Fetcher(context, params.store, params.lineage)
        sets, logs = self._records(context, params, fetcher)
        check_software(context, params, sets[-1])
        total = sum(stored.plain_size for record in [*sets, *logs] for stored in getattr(record, "objects", ()))
        done = 0

        def tick(count: int) -> None:
            nonlocal done
            done += count
            context.check()
            context.progress("fetch and unpack", done, total)

        context.mark("staging", path=str(where.staging))
        note = {
            "run": run,
            "store": params.store,
            "sets": list(params.sets),
            "state": "staging",
            "tail": params.tail,
        }
        places.make(where.staging, ids, **note)
        places.make(where.spool, ids, **note)
        unpacker = Unpacker(root=where.staging, spool=where.spool, tablespaces={}, ids=ids)
        for number, record in enumerate(sets):
            self._set(context, params, fetcher, unpacker, record, number > 0, tick, final=_final(sets, number))
        found = cluster(params.place.binaries, where.staging)
        if found.system_identifier != params.lineage.rpartition("-")[0]:
            raise DamageError(
                "lineage-differs",
                "the backup set holds another server than its record says",
                f"system identifier {found.system_identifier}, lineage {params.lineage}",
            )
        spool = Spool(where.spool, found.segment_size, found.system_identifier, ids)
        covers = self._log(fetcher, params, sets, logs, spool, tick)
        hold_free(params, parse(sets[-1].begin), spool)
        self._settle(context, params, fetcher, sets[-1], where, unpacker, ids)
        for folder in (where.staging, where.spool, *unpacker.tablespaces.values()):
            sync(folder)
        end = spool.end(params.timeline)
        assert end is not None  # proved by _log
        outputs = {
            "bytes": done,
            "begin": sets[-1].begin,
            "end": join(params.timeline, end),
            "log_segments": sum(1 for entry in where.spool.iterdir() if len(entry.name) == 24),
            "covers_until": stamp(covers),
            "consistent_at": sets[-1].end,
            "segment_size": found.segment_size,
        }
        places.write_note(where.staging, ids, **{**note, "state": "staged", "outputs": outputs})
        return Done(outputs)

    def _records(self, context: Context, params: StageParams, fetcher: Fetcher) -> tuple[list[SetRecord], list[Record]]:
        sets: list[SetRecord] = []
        for identifier, digest in params.sets.items():
            record = fetcher.record(identifier, digest)
            assert isinstance(record, SetRecord), identifier
            sets.append(record)
        tail = context.attempt.outputs.get(params.tail, {}).get("records", {}) if params.tail else {}
        return sets, [fetcher.record(identifier, digest) for identifier, digest in {**params.log, **tail}.items()]

    def _extend(self, context: Context, params: StageParams, where: places.Layout, note: dict[str, Any]) -> Done:
        """Adds the log that the old server left to what an earlier step of the run staged while the server ran.

        The log is fetched anew as a whole, so that a kill in the middle leaves nothing to tell apart."""
        ids = account(params.place.run_as)
        fetcher = Fetcher(context, params.store, params.lineage)
        sets, logs = self._records(context, params, fetcher)
        total = sum(stored.plain_size for record in logs for stored in getattr(record, "objects", ()))
        done = 0

        def tick(count: int) -> None:
            nonlocal done
            done += count
            context.check()
            context.progress("fetch the log", done, total)

        found = cluster(params.place.binaries, where.staging)
        spool = Spool(where.spool, found.segment_size, found.system_identifier, ids)
        covers = self._log(fetcher, params, sets, logs, spool, tick)
        hold_free(params, parse(sets[-1].begin), spool)
        sync(where.spool)
        end = spool.end(params.timeline)
        assert end is not None  # proved by _log
        outputs = {
            **note["outputs"],
            "bytes": note["outputs"]["bytes"] + done,
            "end": join(params.timeline, end),
            "log_segments": sum(1 for entry in where.spool.iterdir() if len(entry.name) == 24),
            "covers_until": stamp(covers),
        }
        kept = {name: value for name, value in note.items() if name not in ("tail", "outputs")}
        places.write_note(where.staging, ids, **kept, tail=params.tail, outputs=outputs)
        return Done(outputs)

    def _set(
        self,
        context: Context,
        params: StageParams,
        fetcher: Fetcher,
        unpacker: Unpacker,
        record: SetRecord,
        incremental: bool,
        tick: Callable[[int], None],
        *,
        final: bool,
    ) -> None:
        """`final`: no set behind it is of pages, so that it is the one to which the files are held."""
        if incremental:
            unpacker.block_size = cluster(params.place.binaries, unpacker.root).block_size
        parts = archives(record)
        manifest = b"".join(fetcher.objects(parts["manifest"], record.key, meta=True))
        checker = Checker(parse_manifest(manifest), by_pages=_by_pages(record))
        unpacker.begin_set()
        unpacker.archive(
            "base", fetcher.objects(parts["base"], record.key), checker, incremental=incremental, tick=tick
        )
        for oid, location in unpacker.locations.items():
            self._tablespace(context, params, unpacker, oid, location)
        for name, stored in parts.items():
            if name.isdigit():
                if name not in unpacker.tablespaces:
                    raise DamageError("tablespace-unknown", "a set holds a tablespace that it does not name", name)
                unpacker.archive(name, fetcher.objects(stored, record.key), checker, incremental=incremental, tick=tick)
        checker.finish()
        unpacker.end_set()
        if final:
            unpacker.hold_rebuilt(checker, tick)

    def _tablespace(self, context: Context, params: StageParams, unpacker: Unpacker, oid: str, location: str) -> None:
        if oid in unpacker.tablespaces:
            return
        staged, final = free_tablespace(params, oid, location)
        context.mark("tablespace", oid=oid, path=str(staged), final=str(final))
        staged.parent.mkdir(parents=True, exist_ok=True)
        if params.place.beside and unpacker.ids:
            os.chown(staged.parent, *unpacker.ids)
        places.make(staged, unpacker.ids, run=context.attempt.run, store=params.store, final=str(final))
        unpacker.tablespaces = {**unpacker.tablespaces, oid: staged}

    def _log(
        self,
        fetcher: Fetcher,
        params: StageParams,
        sets: list[SetRecord],
        logs: list[Record],
        spool: Spool,
        tick: Callable[[int], None],
    ) -> datetime:
        timeline, begin = parse(sets[-1].begin)
        spool.adopt(timeline, begin, parse(sets[-1].end).lsn)
        self._take(fetcher, logs, spool, tick)
        return self._unbroken(params, sets, logs, spool)

    def _take(self, fetcher: Fetcher, logs: list[Record], spool: Spool, tick: Callable[[int], None]) -> None:
        """Takes the log in, histories first, then from its begin on."""
        ranges = [record for record in logs if isinstance(record, LogRecord)]
        for record in sorted(ranges, key=lambda record: (not record.details.get("history"), parse(record.begin))):
            for name, stored in archives(record).items():
                if name == "index":
                    continue
                chunks = fetcher.objects(stored, record.key)
                if record.details.get("history"):
                    text = b"".join(chunks)
                    tick(len(text))
                    spool.history(parse(record.end)[0], text)
                    continue
                low, high = parse(record.begin), parse(record.end)

                def counted(chunks: Iterator[bytes] = chunks) -> Iterator[bytes]:
                    for chunk in chunks:
                        tick(len(chunk))
                        yield chunk

                spool.take(low[0], low[1], high[1], counted())

    def _unbroken(self, params: StageParams, sets: list[SetRecord], logs: list[Record], spool: Spool) -> datetime:
        """Proves that the log leads to the target; gives the moment up to which it holds every commit."""
        timeline, _ = parse(sets[-1].begin)
        _, end = parse(sets[-1].end)
        ranges = [record for record in logs if isinstance(record, LogRecord)]
        spool.bridge(params.timeline)
        # What a range promises holds up to its end: not where its timeline was left before that.
        ways = {switch.timeline: switch.position for switch in spool.path_to(params.timeline)} | {
            params.timeline: 2**64
        }
        covers = _covers(sets[-1], ranges, ways)
        spool.check()
        reach = spool.end(params.timeline)
        if params.target_lsn is not None:
            wanted = params.target_lsn
            reach = parse(wanted).lsn if wanted.count("/") == 2 else parse_lsn(wanted)
        if reach is None:
            raise DamageError(
                "log-hole",
                "a piece of the log is missing",
                f"nothing of timeline {params.timeline} is there",
                "recover to a point on the timeline before it",
            )
        goal = max(reach, end) if timeline == params.timeline else reach
        # Once as the ranges say it, so that a hole is named as it is, and once as a server can read it.
        spool.prove((timeline, end), (params.timeline, goal))
        spool.trim()
        spool.prove((timeline, end), (params.timeline, goal))
        return covers

    def _settle(
        self,
        context: Context,
        params: StageParams,
        fetcher: Fetcher,
        record: SetRecord,
        where: places.Layout,
        unpacker: Unpacker,
        ids: tuple[int, int] | None,
    ) -> None:
        """Makes of an unpacked backup a directory that a server recovers from."""
        strip_label(where.staging / "backup_label")
        links = where.staging / "pg_tblspc"
        for oid, location in unpacker.locations.items():
            (links / oid).unlink(missing_ok=True)
            (links / oid).symlink_to(places.tablespace_staging(params.place, oid, location))
            if ids:
                os.lchown(links / oid, *ids)
        for oid, folder in list(unpacker.tablespaces.items()):
            if oid not in unpacker.locations:  # dropped between the sets of the chain
                places.remove(folder, context)
                unpacker.tablespaces = {key: kept for key, kept in unpacker.tablespaces.items() if key != oid}
        (where.staging / "standby.signal").unlink(missing_ok=True)
        signal = where.staging / "recovery.signal"
        signal.touch(mode=0o600)
        if ids:
            os.chown(signal, *ids)
        auto = where.staging / "postgresql.auto.conf"
        if auto.exists():
            lines = auto.read_text("utf-8", "surrogateescape").splitlines(keepends=True)
            auto.write_text("".join(line for line in lines if not _STALE.match(line)), "utf-8", "surrogateescape")
        parts = archives(record)
        if "config" in parts:
            tar = b"".join(fetcher.objects(parts["config"], record.key))
            put_back(context, params, tar, where, ids, str(record.details.get("data_directory") or ""))
        if params.place.beside is not None:
            lead_to_itself(where, ids)
        else:
            check_configuration(context, params, where)
        free = shutil.disk_usage(where.staging).free
        if free < 64 << 20:
            context.find("warning", "little-space", "little room is left beside the restored data", f"{free} bytes")


ACTION = Stage()
