"""Looks at one member: by SQL, and at its data directory where that is on this host. Changes nothing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.contract import Looked
from aegis_plan.stores.postgresql.connection import Connection, ask, connect, connection_string
from aegis_plan.stores.postgresql.control import processes
from aegis_plan.stores.postgresql.control_file import cluster
from aegis_plan.stores.postgresql.model import Beside, Look, Place, Server
from aegis_plan.stores.postgresql.olddata import belongs, device, find, frees
from aegis_plan.stores.postgresql.place import layout, leftovers, mounted, occupied
from aegis_plan.stores.postgresql.positions import Position
from aegis_plan.stores.postgresql.remains import owner
from aegis_plan.stores.postgresql.replication import Replication
from aegis_plan.stores.postgresql.segments import begin_of, read_history
from aegis_plan.stores.postgresql.settings import segment_size
from aegis_plan.stores.postgresql.slot import default_name, read_slot
from aegis_plan.stores.programs import execute

_SECONDS = 4.0


def look(context: Context, store: str, member: str) -> Looked:
    """What is seen of the member; never raises for a server that is down or refuses."""
    declared = context.declared.stores[store].members[member]
    where = f"{store}/{member}"
    seen: dict[str, Any] = {}
    server = Server.model_validate(declared.server) if declared.server else None
    if server is not None:
        with contextlib.suppress(AegisError, OSError):
            seen.update(_place(server))
        if (named := context.attempt.params.get("beside")) and seen.get("data_directory") not in (None, "elsewhere"):
            seen["beside"] = {str(path): _beside(path) for path in (Path(named), Path(named) / store)}
    try:
        text = connection_string(context, store, member)
        with connect(text, where, context.check, options="-c statement_timeout=3000") as sql:
            state = _ask(context, sql, text, store, where, seen)
        return _looked(state, "", seen)
    except AegisError as error:
        reason = str(error)
    there = seen.get("data_directory")
    if server is not None and there in ("readable", "missing", "empty", "damaged"):
        if not processes(server.data_directory):
            return _looked("stopped", reason, seen)
        reason += "; a server runs on its data directory"
    return _looked("unreachable", reason, seen)


def _looked(state: Any, reason: str, seen: dict[str, Any]) -> Looked:
    found = Look.model_validate(seen)
    lineage = None
    if found.system_identifier and found.version:
        lineage = f"{found.system_identifier}-{found.version // 10000}"
    return Looked(state, reason, lineage, found.model_dump(mode="json"))


def _ask(context: Context, sql: Connection, text: str, store: str, where: str, seen: dict[str, Any]) -> str:
    row = ask(
        sql,
        "SELECT pg_is_in_recovery(), clock_timestamp(), current_setting('server_version_num')::int,"
        " current_setting('wal_level'), current_setting('max_wal_senders')::int,"
        " current_setting('data_checksums'), current_setting('wal_log_hints'),"
        " current_setting('summarize_wal', true),"
        " (SELECT setting::int FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),"
        " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text,"
        " CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
        " END::bigint,"
        " CASE WHEN pg_is_in_recovery() THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())"
        " END::float8",
        where,
    )[0]
    seen.update(
        server_time=row[1],
        version=row[2],
        wal_level=row[3],
        max_wal_senders=row[4],
        data_checksums=row[5] == "on",
        wal_log_hints=row[6] == "on",
        summarize_wal=None if row[7] is None else row[7] == "on",
        max_slot_wal_keep_size_mb=row[8],
        flush_lsn=row[9],
        lag_bytes=row[10],
        lag_seconds=row[11],
        wal_segment_size=segment_size(sql, where),
    )
    limit = time.monotonic() + _SECONDS

    def check() -> None:
        context.check()
        if time.monotonic() > limit:
            raise AegisError("server-too-slow", "the server answers too slowly", where)

    try:
        with Replication(text, where, check) as wire:
            identity = wire.rows("IDENTIFY_SYSTEM")[0]
        seen.update(system_identifier=identity[0], timeline=int(identity[1] or 0), can_replicate=True)
    except AegisError as error:
        seen.update(can_replicate=False, replication_reason=str(error))
        with contextlib.suppress(AegisError):
            rows = ask(
                sql,
                "SELECT (SELECT system_identifier::text FROM pg_control_system()),"
                " (SELECT timeline_id FROM pg_control_checkpoint())",
                where,
            )
            seen.update(system_identifier=rows[0][0], timeline=rows[0][1])
    backup = context.declared.stores[store].backup
    slot = (backup.log.slot if backup is not None and backup.log is not None else None) or default_name(store)
    with contextlib.suppress(AegisError):
        seen["slot"] = read_slot(sql, slot, where)
    with contextlib.suppress(AegisError):
        spaces = ask(sql, "SELECT oid::text, pg_tablespace_location(oid) FROM pg_tablespace WHERE oid >= 16384", where)
        seen["tablespaces"] = dict(spaces)
    with contextlib.suppress(AegisError):
        seen["extensions"] = dict(ask(sql, "SELECT extname::text, extversion FROM pg_extension", where))
    with contextlib.suppress(AegisError):
        seen["size_bytes"] = int(
            ask(sql, "SELECT sum(pg_database_size(oid))::bigint FROM pg_database WHERE datallowconn", where)[0][0]
        )
    return "replica" if row[0] else "primary"


def _place(server: Server) -> dict[str, Any]:
    folder = Path(os.path.realpath(server.data_directory))
    seen: dict[str, Any] = {"host": socket.gethostname(), "mount_point": mounted(folder)}
    parent = next((above for above in folder.parents if above.is_dir()), Path("/"))
    # Where data would be staged: on a mount point within it, else beside it.
    seen["free_bytes"] = shutil.disk_usage(folder if seen["mount_point"] else parent).free
    with contextlib.suppress(AegisError, IndexError, ValueError):
        seen["binaries_version"] = _major(server.binaries) * 10000
    seen["other_binaries"] = tuple(major for major, path in server.other_binaries.items() if _is(path, major))
    if "binaries_version" not in seen and not parent.samefile(folder.parent if folder.parent.exists() else "/"):
        return {**seen, "data_directory": "elsewhere"}
    staged = Place(member="", binaries=server.binaries, data_directory=server.data_directory)
    seen["leftovers"] = leftovers(layout(staged))
    if not folder.exists():
        return {**seen, "data_directory": "missing"}
    try:
        if not any(folder.iterdir()):
            return {**seen, "data_directory": "empty"}
        seen["version"] = int((folder / "PG_VERSION").read_text().split(".")[0]) * 10000
    except PermissionError:
        return {**seen, "data_directory": "unreadable"}
    except (OSError, ValueError):
        of_whom = belongs(server.binaries, folder)
        return {**seen, "data_directory": "damaged", "system_identifier": of_whom, "used_bytes": _used(folder)}
    try:
        control = cluster(server.binaries, server.data_directory)
    except AegisError:
        # Broken as it is, its log may be whole, and that is what a recovery takes from it.
        of = owner(folder / "pg_wal")
        if of is None:
            return {**seen, "data_directory": "damaged", "used_bytes": _used(folder)}
        seen.update(
            data_directory="readable",
            system_identifier=of.system_identifier,
            timeline=of.timeline,
            wal_segment_size=of.segment_size,
            used_bytes=_used(folder),
        )
        return {**seen, **_log(folder / "pg_wal", of.timeline, of.segment_size)}
    seen.update(
        data_directory="readable",
        control_state=control.state,
        system_identifier=control.system_identifier,
        timeline=max(control.timeline, control.recovered_timeline),
        data_checksums=control.checksums,
        wal_segment_size=control.segment_size,
        used_bytes=_used(folder),
    )
    seen.update(_log(folder / "pg_wal", seen["timeline"], control.segment_size))
    return seen


def _major(folder: str) -> int:
    _, said, _ = execute([f"{folder}/postgres", "--version"], timeout=2.0)
    return int(re.findall(r"\d+", said)[0])


def _is(folder: str, major: str) -> bool:
    with contextlib.suppress(AegisError, IndexError, ValueError):
        return str(_major(folder)) == major
    return False


def _beside(folder: Path) -> Beside:
    parent = next((above for above in folder.parents if above.is_dir()), Path("/"))
    try:
        return Beside(occupied=occupied(folder), free_bytes=shutil.disk_usage(parent).free)
    except OSError:
        return Beside(occupied=True)


def _used(folder: Path) -> int | None:
    with contextlib.suppress(OSError):
        return frees(find(folder), device(folder), lambda: None, seconds=1.0)
    return None


def _log(folder: Path, timeline: int, size: int) -> dict[str, str]:
    """The newest unbroken run of segments, back over the timelines before it as far as they abut."""
    begins = _segments(folder, timeline, size)
    if not begins:
        return {}
    low = high = max(begins)
    while low - size in begins:
        low -= size
    found = {"log_readable_to": str(Position(timeline, high + size))}
    owner = timeline
    with contextlib.suppress(OSError, AegisError):
        text = (folder / f"{timeline:08X}.history").read_text("utf-8", "replace")
        found["timeline_history"] = text
        for switch in reversed(read_history(text.encode())):
            # A new timeline begins with a copy of the segment in which the old one was left.
            if low > switch.position - switch.position % size:
                break
            owner, begins = switch.timeline, _segments(folder, switch.timeline, size)
            while low - size in begins:
                low -= size
    return {**found, "log_readable_from": str(Position(owner, low))}


def _segments(folder: Path, timeline: int, size: int) -> set[int]:
    """Where segments of a timeline begin whose first page says that they are what their name says."""
    begins = set()
    for path in folder.iterdir():
        if len(path.name) != 24 or not path.name.startswith(f"{timeline:08X}"):
            continue
        try:
            begin = begin_of(path.name, size)
            with path.open("rb") as stream:
                head = stream.read(16)
        except (OSError, ValueError):
            continue
        # Recycled segments keep an old page under a future name.
        if path.stat().st_size == size and int.from_bytes(head[8:16], "little") == begin:
            begins.add(begin)
    return begins
