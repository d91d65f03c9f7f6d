"""What a set has to say of the server besides its files: settings, extensions, collations, tablespaces, and the
configuration that lies outside the data directory. It reads and never changes anything."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Container
from typing import Any

from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.connection import Connection, ask, connect

NEEDED = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)
"""Settings of the primary that a replay needs at least."""
_ALSO = ("wal_level", "wal_log_hints", "shared_preload_libraries", "server_encoding", "max_slot_wal_keep_size")


def setting(connection: Connection, name: str, where: str) -> str | None:
    """A setting as the server writes it; None where there is none, or the role may not see it."""
    # pg_settings leaves out what a role may not see; current_setting alone raises.
    seen = f"EXISTS (SELECT FROM pg_settings WHERE name = '{name}')"
    found = ask(connection, f"SELECT CASE WHEN {seen} THEN current_setting('{name}', true) END", where)[0][0]
    return None if found is None else str(found)


def details(connection: Connection, text: str, where: str) -> dict[str, Any]:
    """The facts of a set, apart from its positions."""
    said = {name: setting(connection, name, where) for name in (*NEEDED, *_ALSO)}
    databases = ask(
        connection,
        "SELECT datname, pg_encoding_to_char(encoding), datcollate, datctype, datallowconn FROM pg_database"
        " ORDER BY datname",
        where,
    )
    extensions, collations, unseen = {}, {}, []
    for name, *_, allowed in databases:
        if not allowed or name == "template1":
            continue
        try:
            with connect(text, where, connection.check, dbname=name) as other:
                rows = ask(other, "SELECT extname, extversion FROM pg_extension ORDER BY 1", where)
                extensions[name] = dict(rows)
                rows = ask(
                    other,
                    "SELECT collname, collversion FROM pg_collation WHERE collversion IS NOT NULL AND oid >= 16384",
                    where,
                )
                collations[name] = dict(rows)
        except AegisError:
            unseen.append(name)
    versions = ask(connection, "SELECT datname, to_jsonb(d)->>'datcollversion' FROM pg_database d ORDER BY 1", where)
    return {
        "server_version": setting(connection, "server_version", where),
        "version": int(setting(connection, "server_version_num", where) or 0),
        "build": ask(connection, "SELECT version()", where)[0][0],
        "settings": said,
        "wal_segment_size": segment_size(connection, where),
        "block_size": int(setting(connection, "block_size", where) or 8192),
        "data_checksums": setting(connection, "data_checksums", where) == "on",
        "wal_log_hints": said["wal_log_hints"] == "on",
        "databases": {
            name: {"encoding": encoding, "collate": collate, "ctype": ctype}
            for name, encoding, collate, ctype, _ in databases
        },
        "collation_versions": {name: version for name, version in versions if version},
        "collations": {name: found for name, found in collations.items() if found},
        "extensions": {name: found for name, found in extensions.items() if found},
        "databases_not_looked_into": unseen,
        "data_directory": setting(connection, "data_directory", where),
    }


def segment_size(connection: Connection, where: str) -> int:
    rows = ask(connection, "SELECT setting::bigint, unit FROM pg_settings WHERE name = 'wal_segment_size'", where)
    return int(rows[0][0])


def configuration(
    connection: Connection, where: str, sent: Container[str], missed: Callable[[str, str], None]
) -> bytes | None:
    """A tar of the configuration files that are not in the backup, paths without their leading slash; None when there
    are none. They lie outside the data directory, or within it as links, which a server does not send; `sent` are the
    paths that it did. `missed` is told each file that could not be read, with the reason."""
    base = os.path.normpath(setting(connection, "data_directory", where) or "/")
    if base == "/":
        missed("config_file", "the role may not see where the configuration is (grant pg_read_all_settings)")
        return None
    wanted = [setting(connection, name, where) for name in ("config_file", "hba_file", "ident_file")]
    for view in ("pg_file_settings", "pg_settings"):
        # The first is a superuser's; the second names only files with a setting that is in force, which is enough
        # but for a file whose every line another one overrides.
        try:
            wanted += [row[0] for row in ask(connection, f"SELECT DISTINCT sourcefile FROM {view}", where)]
            break
        except AegisError as error:
            if view == "pg_settings":
                missed("included files", error.detail)
    outside = sorted({os.path.normpath(path) for path in wanted if path})
    outside = [path for path in outside if path.removeprefix(base + "/") not in sent]
    if not outside:
        return None
    body = io.BytesIO()
    kept = 0
    with tarfile.open(fileobj=body, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in outside:
            data = _file(connection, path, where, missed)
            if data is not None:
                member = tarfile.TarInfo(path.lstrip("/"))
                member.size, member.mode = len(data), 0o600
                archive.addfile(member, io.BytesIO(data))
                kept += 1
    return body.getvalue() if kept else None


def _file(connection: Connection, path: str, where: str, missed: Callable[[str, str], None]) -> bytes | None:
    quoted = path.replace("'", "''")
    try:
        return bytes(ask(connection, f"SELECT pg_read_binary_file('{quoted}')", where)[0][0])
    except AegisError as error:
        missed(path, error.detail)
        return None
