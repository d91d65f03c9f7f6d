"""Controls a member's server on this host: whether it runs, start, stop, and what its control file says.

A process id alone proves nothing: a server counts as running when a process works in its data directory. Servers
started here inherit nothing of the site, so that its locks never live on in them.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.model import Control, Server

Status = Literal["running", "stopped", "unknown"]

START_SECONDS = 3600.0
"""A start may have to recover from a crash first; the step's own deadline usually ends the wait before."""
STOP_SECONDS = 60.0
_FATAL = re.compile(rb"(?:FATAL|PANIC):\s+(.*)")


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


@dataclass(frozen=True)
class Postmaster:
    """What the server wrote into its `postmaster.pid`."""

    pid: int
    port: int | None
    socket: str | None
    ready: bool


def declared_server(context: Context, store: str, member: str) -> Server:
    """The `server` section of a member. Raises AegisError `server-not-declared`."""
    found = context.declared.stores[store].members.get(member) if store in context.declared.stores else None
    if found is None or not found.server:
        raise AegisError(
            "server-not-declared",
            "the documents do not say where this server lives",
            f"store {store}, member {member} has no `server` section",
            "give its `server` a data_directory and binaries",
        )
    return Server.model_validate(found.server)


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


def processes(directory: str | Path) -> list[int]:
    """Every process of a server, postmaster or orphaned backend, that works in `directory`."""
    wanted = {os.path.realpath(directory)}
    wanted |= {path + " (deleted)" for path in wanted}
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{entry}/cwd") in wanted:
                name = Path(f"/proc/{entry}/comm").read_text().strip()
                if name.startswith(("postgres", "postmaster")):
                    found.append(int(entry))
    return sorted(found)


def postmaster(directory: str | Path) -> Postmaster | None:
    """The server's own note of itself; None when there is none. Stale notes are given too."""
    try:
        lines = (Path(directory) / "postmaster.pid").read_text().splitlines()
        pid = abs(int(lines[0]))
    except (OSError, ValueError, IndexError):
        return None
    return Postmaster(
        pid=pid,
        port=int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else None,
        socket=(lines[4].strip() or None) if len(lines) > 4 else None,
        ready=len(lines) > 7 and lines[7].strip() in ("ready", "standby"),
    )


def _hidden(pid: int) -> bool:
    """Whether it is somebody else's process that we may not look into, and so may be the server."""
    try:
        os.readlink(f"/proc/{pid}/cwd")
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def status(server: Server) -> Status:
    """Whether a server runs on the data directory, by its processes; `unknown` when nobody can be sure."""
    if processes(server.data_directory):
        return "running"
    note = postmaster(server.data_directory)
    if note is not None and _hidden(note.pid):
        return "unknown"
    if isinstance(server.control, Control):
        code, _, _ = execute(server.control.status)
        return {0: "running", 3: "stopped"}.get(code, "unknown")  # type: ignore[return-value] # a literal by its keys
    return "stopped"


def log_file(server: Server) -> Path:
    """Where pg_ctl sends the server's output."""
    return Path(server.log_file or Path(server.data_directory).parent / "server.log")


def last_fatal(path: Path, offset: int = 0) -> str:
    """The last FATAL or PANIC message that a server's log holds after `offset`, cut to 300 characters."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(offset, path.stat().st_size - (1 << 20)))
            found = _FATAL.findall(stream.read())
    except OSError:
        return ""
    return bytes(found[-1]).decode("utf-8", "replace")[:300] if found else ""


def _start_failed(server: Server, reason: str) -> AegisError:
    hint = "look into the server's log; `aegis resume` tries again"
    if "could not create any TCP/IP sockets" in reason or "already in use" in reason or "lock file" in reason:
        hint = "another server holds its port or socket: stop that one, then `aegis resume`"
    elif "could not access file" in reason:
        hint = "a library that the configuration preloads is missing on this host: install it, then `aegis resume`"
    return AegisError(
        "server-start-failed",
        "the server did not start",
        f"{server.data_directory}: {reason or 'it said nothing'}",
        hint,
    )


def wait_ready(server: Server, context: Context, seconds: float, log: Path, offset: int) -> Postmaster:
    """Waits until the server accepts connections. Raises AegisError `server-start-failed`."""
    end, missing = context.clock.monotonic() + seconds, 0
    while context.clock.monotonic() < end:
        context.check()
        note = postmaster(server.data_directory)
        alive = processes(server.data_directory)
        if note and note.ready and (note.pid in alive or (not alive and _hidden(note.pid))):
            return note
        # Between the exec and the change of directory a new server shows nowhere.
        missing = 0 if alive else missing + 1
        if missing > 50:
            raise _start_failed(server, last_fatal(log, offset))
        context.clock.sleep(0.1)
    raise _start_failed(server, last_fatal(log, offset) or f"it was not ready within {seconds:g} s")


def start(server: Server, context: Context, seconds: float = START_SECONDS) -> Postmaster:
    """Starts the server by its own control and waits until it accepts connections.

    Raises AegisError `server-start-failed`, `server-control-failed`."""
    log = log_file(server)
    offset = log.stat().st_size if log.exists() else 0
    if isinstance(server.control, Control):
        command, run_as = list(server.control.start), None
    elif server.control.startswith("systemd:"):
        command, run_as = ["systemctl", "start", server.control.removeprefix("systemd:")], None
    else:
        options = server.options
        if server.port is not None:
            options += f" -p {server.port}"
        if server.socket_directory is not None:
            options += f" -k '{server.socket_directory}'"
        command = [f"{server.binaries}/pg_ctl", "start", "-W", "-D", server.data_directory, "-l", str(log)]
        command += ["-o", options.strip()] if options.strip() else []
        run_as = server.run_as
    code, _, err = execute(command, run_as=run_as, timeout=min(seconds, 600.0))
    if code != 0:
        reason = last_fatal(log, offset) or (err.strip().splitlines() or ["no reason given"])[-1][:300]
        raise _start_failed(server, reason)
    return wait_ready(server, context, seconds, log, offset)


def _wait_gone(server: Server, sleep: Callable[[float], None], seconds: float) -> bool:
    for _ in range(int(seconds * 10)):
        if not processes(server.data_directory):
            return True
        sleep(0.1)
    return not processes(server.data_directory)


def stop(server: Server, context: Context, seconds: float = STOP_SECONDS) -> None:
    """Stops the server: fast, and when that takes longer than `seconds`, at once. Nothing to do when it is stopped.

    Raises AegisError `server-stop-failed`."""
    if status(server) == "stopped":
        return
    pg_ctl = [f"{server.binaries}/pg_ctl", "stop", "-W", "-D", server.data_directory]
    if isinstance(server.control, Control):
        execute(server.control.stop, timeout=seconds + 60)
    elif server.control.startswith("systemd:"):
        execute(["systemctl", "stop", server.control.removeprefix("systemd:")], timeout=seconds + 60)
    else:
        execute([*pg_ctl, "-m", "fast"], run_as=server.run_as)
    if not _wait_gone(server, context.clock.sleep, seconds) and not isinstance(server.control, Control):
        execute([*pg_ctl, "-m", "immediate"], run_as=server.run_as)
    if not _wait_gone(server, context.clock.sleep, 30.0) or status(server) != "stopped":
        raise AegisError(
            "server-stop-failed",
            "the server did not stop",
            f"{server.data_directory}: processes {processes(server.data_directory)[:5]} still work in it",
            "stop it by hand, then `aegis resume`",
        )
