"""Runs the server's own short programs as the server's account, and reads what its control file says.

What runs here inherits nothing of the site, so that its locks never live on in a server.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aegis_plan.errors import AegisError


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


def account(run_as: str | None) -> tuple[int, int] | None:
    """User and group ids to work as, or None for our own. Raises AegisError `run-as-unknown`, `run-as-refused`."""
    if run_as is None:
        return None
    try:
        entry = pwd.getpwnam(run_as)
    except KeyError:
        raise AegisError(
            "run-as-unknown", "the account that runs the server does not exist here", f"account {run_as}"
        ) from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise AegisError(
            "run-as-refused",
            "this site may not work as the account that runs the server",
            f"it runs as user id {os.geteuid()}, the server as {run_as}",
            f"run the site as {run_as} or as root",
        )
    return entry.pw_uid, entry.pw_gid


def execute(
    command: Sequence[str], *, run_as: str | None = None, timeout: float = 60.0, env: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Runs a short program that inherits nothing of the site; gives code, output and errors, cut to 64 KiB each.

    Raises AegisError `program-missing`, `program-too-slow`."""
    ids = account(run_as)
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC", **(env or {})}
    # Output goes to files: a server that pg_ctl starts would keep a pipe open for as long as it lives.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            code = subprocess.run(  # the command is built by us, without a shell
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=timeout,
                env=environment,
                cwd="/",
                start_new_session=True,
                user=ids[0] if ids else None,
                group=ids[1] if ids else None,
                extra_groups=os.getgrouplist(run_as, ids[1]) if ids and run_as else None,
                check=False,
            ).returncode
        except (FileNotFoundError, PermissionError):
            raise AegisError(
                "program-missing", "a program cannot be run", command[0], "check `binaries` of the server"
            ) from None
        except subprocess.TimeoutExpired:
            raise AegisError(
                "program-too-slow", "a program did not end in time", f"{command[0]}, {timeout:g} s"
            ) from None
        texts = []
        for stream in (out, err):
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 65536))
            texts.append(stream.read().decode("utf-8", "replace"))
    return code, texts[0], texts[1]


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
