"""What the control file of a data directory says, read by the server's own `pg_controldata`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aegis_plan.errors import AegisError
from aegis_plan.stores.programs import execute


@dataclass(frozen=True)
class Cluster:
    """What `pg_controldata` says of a data directory."""

    system_identifier: str
    state: str
    timeline: int
    """Of the latest checkpoint."""
    recovered_timeline: int
    """To which a recovery came that no checkpoint followed yet; 0 where there is none. A server that was promoted and
    killed at once took writes on it."""
    block_size: int
    segment_size: int
    checksums: bool
    settings: Mapping[str, int]
    """Settings of the primary that a replay needs at least."""
    kept: Mapping[str, str]
    """Settings that change stored data when a server runs without them: it drops commit timestamps at once."""


def cluster(binaries: str, directory: str | Path) -> Cluster:
    """Reads the control file. Raises AegisError `control-file-unreadable`."""
    code, text, _ = execute([f"{binaries}/pg_controldata", "-D", str(directory)])
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    try:
        if code != 0 or "WARNING" in text:
            raise KeyError("Database system identifier")
        return Cluster(
            system_identifier=fields["Database system identifier"],
            state=fields["Database cluster state"],
            timeline=int(fields["Latest checkpoint's TimeLineID"]),
            recovered_timeline=int(fields["Min recovery ending loc's timeline"]),
            block_size=int(fields["Database block size"]),
            segment_size=int(fields["Bytes per WAL segment"]),
            checksums=fields["Data page checksum version"] != "0",
            settings={
                "max_connections": int(fields["max_connections setting"]),
                "max_worker_processes": int(fields["max_worker_processes setting"]),
                "max_wal_senders": int(fields["max_wal_senders setting"]),
                "max_prepared_transactions": int(fields["max_prepared_xacts setting"]),
                "max_locks_per_transaction": int(fields["max_locks_per_xact setting"]),
            },
            kept={name: fields[f"{name} setting"] for name in ("track_commit_timestamp", "wal_log_hints", "wal_level")},
        )
    except (KeyError, ValueError):
        raise AegisError(
            "control-file-unreadable",
            "the control file of a data directory cannot be read",
            str(directory),
            "the directory is damaged, or the binaries are of another major version",
        ) from None
