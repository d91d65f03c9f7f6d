"""Controls a member's server on this host: whether it runs, start and stop, by pg_ctl or by what is declared.

A process id alone proves nothing, nor does what a command says of itself: a server counts as running when a process
works in its data directory.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.fields import Control
from aegis_plan.stores.postgresql.model import Server
from aegis_plan.stores.programs import execute

Status = Literal["running", "stopped", "unknown"]

START_SECONDS = 3600.0
"""A start may have to recover from a crash first; the step's own deadline usually ends the wait before."""
STOP_SECONDS = 60.0
START_GRACE = 5.0
"""How long a server that was told to start may show nowhere."""
_FATAL = re.compile(rb"(?:FATAL|PANIC):\s+(.*)")


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
        code, _ = commanded(server, "status")
        return {0: "running", 3: "stopped"}.get(code, "unknown")  # type: ignore[return-value] # a literal by its keys
    return "stopped"


def certain(server: Server) -> bool:
    """Whether it runs. Raises AegisError `server-state-unknown`, `server-control-failed`."""
    found = status(server)
    if found == "unknown":
        detail = "its process belongs to another account, and may be the server"
        if isinstance(server.control, Control):
            detail = f"its status command `{shlex.join(server.control.status)}` ends with neither 0 nor 3"
        raise AegisError(
            "server-state-unknown",
            "nobody can tell whether the server runs",
            f"{server.data_directory}: {detail}",
            "0 says that it runs, 3 that it does not; correct `control` or run the site as another account, then "
            "try again",
        )
    return found == "running"


def _command(server: Server, word: Literal["start", "stop", "status"]) -> list[str]:
    """How the server is told, where not by pg_ctl."""
    if isinstance(server.control, Control):
        return list(getattr(server.control, word))
    return ["systemctl", "is-active" if word == "status" else word, server.control.removeprefix("systemd:")]


def commanded(
    server: Server, word: Literal["start", "stop", "status"], seconds: float | None = None
) -> tuple[int, str]:
    """Runs the command that is declared for a word; gives its code and the last line of its errors.

    Raises AegisError `server-control-failed`."""
    command = _command(server, word)
    limit = server.control.timeout.total_seconds() if isinstance(server.control, Control) else seconds or STOP_SECONDS
    try:
        code, _, err = execute(command, timeout=limit)
    except AegisError as error:
        why = "cannot be run" if error.code == "program-missing" else f"did not end within {limit:g} s"
        raise AegisError(
            "server-control-failed",
            "a command that controls the server does not work",
            f"{server.data_directory}: the {word} command `{shlex.join(command)}` {why}",
            "this host has no systemd: write `control: pg_ctl` or commands of your own, then make a new plan"
            if command[0] == "systemctl" and error.code == "program-missing"
            else "correct `control` of the member's server, or repair the command, then try again",
        ) from None
    return code, (err.strip().splitlines() or [""])[-1][:300]


def check_control(server: Server) -> None:
    """Refuses a control that this host does not have, while nothing is touched. Raises AegisError
    `server-control-failed`."""
    words: tuple[Literal["start", "stop", "status"], ...] = ("start", "stop", "status")
    for word in () if server.control == "pg_ctl" else words:
        command = _command(server, word)
        if shutil.which(command[0]) is None:
            raise AegisError(
                "server-control-failed",
                "a command that controls the server does not work",
                f"{server.data_directory}: the {word} command `{shlex.join(command)}` cannot be run",
                "this host has no systemd: write `control: pg_ctl` or commands of your own, then make a new plan"
                if command[0] == "systemctl"
                else "correct `control` of the member's server and make a new plan, or put the command there",
            )
    certain(server)


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
    hint = "look into the server's log, then try again"
    if "could not create any TCP/IP sockets" in reason or "already in use" in reason or "lock file" in reason:
        hint = "another server holds its port or socket: stop that one, then try again"
    elif "could not access file" in reason:
        hint = "a library that the configuration preloads is missing on this host: install it, then try again"
    return AegisError(
        "server-start-failed",
        "the server did not start",
        f"{server.data_directory}: {reason or 'it said nothing'}",
        hint,
    )


def wait_ready(server: Server, context: Context, seconds: float, log: Path, offset: int, told: str = "") -> Postmaster:
    """Waits until the server accepts connections; `told` says what was asked to start it. Raises AegisError
    `server-start-failed`."""
    end, missing = context.clock.monotonic() + seconds, 0
    grace = server.control.timeout.total_seconds() if isinstance(server.control, Control) else START_GRACE
    while context.clock.monotonic() < end:
        context.check()
        note = postmaster(server.data_directory)
        alive = processes(server.data_directory)
        if note and note.ready and (note.pid in alive or (not alive and _hidden(note.pid))):
            return note
        # Between the exec and the change of directory a new server shows nowhere.
        missing = 0 if alive else missing + 1
        if missing > grace * 10:
            none = f"{told} ended well, and {grace:g} s later no server works in its data directory" if told else ""
            raise _start_failed(server, last_fatal(log, offset) or none)
        context.clock.sleep(0.1)
    raise _start_failed(server, last_fatal(log, offset) or f"it was not ready within {seconds:g} s")


def start(server: Server, context: Context, seconds: float = START_SECONDS) -> Postmaster:
    """Starts the server by its own control and waits until it accepts connections.

    Raises AegisError `server-start-failed`, `server-control-failed`."""
    log = log_file(server)
    offset = log.stat().st_size if log.exists() else 0
    if server.control != "pg_ctl":
        told = f"`{shlex.join(_command(server, 'start'))}`"
        code, said = commanded(server, "start", min(seconds, 600.0))
        if code != 0:
            reason = last_fatal(log, offset) or said or "no reason given"
            raise _start_failed(server, f"{told} ended with {code}: {reason}")
        return wait_ready(server, context, seconds, log, offset, told)
    options = server.options
    if server.port is not None:
        options += f" -p {server.port}"
    if server.socket_directory is not None:
        options += f" -k '{server.socket_directory}'"
    command = [f"{server.binaries}/pg_ctl", "start", "-W", "-D", server.data_directory, "-l", str(log)]
    command += ["-o", options.strip()] if options.strip() else []
    code, _, err = execute(command, run_as=server.run_as, timeout=min(seconds, 600.0))
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
    if server.control != "pg_ctl":
        if isinstance(server.control, Control):
            seconds = server.control.timeout.total_seconds()
        told = f"`{shlex.join(_command(server, 'stop'))}`"
        code, said = commanded(server, "stop", seconds + 60)
        # Who supervises it has to end it: killed behind its back it would be started again.
        gone = _wait_gone(server, context.clock.sleep, seconds if code == 0 else 0.0)
        if not gone:
            still = f"{told} ended with {code}{': ' + said if said else ''}, and"
            raise _stop_failed(server, f"{still} processes {processes(server.data_directory)[:5]} still work in it")
    else:
        pg_ctl = [f"{server.binaries}/pg_ctl", "stop", "-W", "-D", server.data_directory]
        execute([*pg_ctl, "-m", "fast"], run_as=server.run_as)
        if not _wait_gone(server, context.clock.sleep, seconds):
            execute([*pg_ctl, "-m", "immediate"], run_as=server.run_as)
        if not _wait_gone(server, context.clock.sleep, 30.0):
            raise _stop_failed(server, f"processes {processes(server.data_directory)[:5]} still work in it")
    if certain(server):
        raise _stop_failed(
            server, f"no process works in it, and `{shlex.join(_command(server, 'status'))}` still says that it runs"
        )


def _stop_failed(server: Server, detail: str) -> AegisError:
    return AegisError(
        "server-stop-failed",
        "the server did not stop",
        f"{server.data_directory}: {detail}",
        "stop it by hand, then try again",
    )
