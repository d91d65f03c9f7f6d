"""Controls a member's server on this host: whether it runs, start and stop, by its own program or as is declared.

A server counts as running when a process holds the lock of its data, whatever a command says of itself.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path
from typing import Literal

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.fields import Control
from aegis_plan.stores.neo4j.model import Server
from aegis_plan.stores.neo4j.place import configuration, layout
from aegis_plan.stores.programs import execute

Status = Literal["running", "stopped", "unknown"]
SECONDS = 300.0
"""How long a server may take to be there or gone, where no commands of one's own say otherwise."""


def environment(server: Server) -> dict[str, str]:
    """What Neo4j's own programs have to be told."""
    kept = {name: os.environ[name] for name in ("JAVA_HOME", "HOME") if name in os.environ}
    return {**kept, "NEO4J_HOME": server.home, "NEO4J_CONF": str(configuration(server))}


def processes(data: Path) -> list[int]:
    """Every process that holds the lock of a data folder, as far as we may look."""
    lock = os.path.realpath(data / "databases" / "store_lock")
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            if Path(f"/proc/{entry}/comm").read_text().strip() != "java":
                continue
            for number in os.listdir(f"/proc/{entry}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{entry}/fd/{number}") == lock:
                        found.append(int(entry))
                        break
    return sorted(found)


def _hidden(server: Server) -> bool:
    """Whether a process of another account, which we may not look into, was started for this home."""
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        with contextlib.suppress(OSError):
            if not entry.isdigit() or Path(f"/proc/{entry}/comm").read_text().strip() != "java":
                continue
            line = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            if f"--home-dir={server.home}".encode() not in line:
                continue
            try:
                os.listdir(f"/proc/{entry}/fd")
            except PermissionError:
                return True
    return False


def status(server: Server) -> Status:
    """Whether a server runs on the data; `unknown` when nobody can be sure."""
    if processes(layout(server).data):
        return "running"
    if _hidden(server):
        return "unknown"
    if isinstance(server.control, Control):
        code, _ = _commanded(server, "status")
        return {0: "running", 3: "stopped"}.get(code, "unknown")  # type: ignore[return-value] # a literal by its keys
    return "stopped"


def certain(server: Server) -> bool:
    """Whether it runs. Raises AegisError `server-state-unknown`, `server-control-failed`."""
    found = status(server)
    if found == "unknown":
        raise AegisError(
            "server-state-unknown",
            "nobody can tell whether the server runs",
            f"{server.home}: its process belongs to another account, or its status command ends with neither 0 nor 3",
            "correct `control` or run the site as another account, then try again",
        )
    return found == "running"


def program(server: Server) -> str:
    """Path of the program neo4j, which packages put beside neo4j-admin."""
    return str(Path(server.admin).with_name("neo4j")) if server.admin else f"{server.home}/bin/neo4j"


def _command(server: Server, word: Literal["start", "stop", "status"]) -> list[str]:
    if isinstance(server.control, Control):
        return list(getattr(server.control, word))
    if server.control == "neo4j":
        return [program(server), word]
    return ["systemctl", "is-active" if word == "status" else word, server.control.removeprefix("systemd:")]


def limit(server: Server) -> float:
    """How long a command, and the server after it, may take."""
    return server.control.timeout.total_seconds() if isinstance(server.control, Control) else SECONDS


def _commanded(server: Server, word: Literal["start", "stop", "status"]) -> tuple[int, str]:
    command = _command(server, word)
    own = server.control == "neo4j"
    try:
        code, out, err = execute(
            command, run_as=server.run_as if own else None, timeout=limit(server), env=environment(server)
        )
    except AegisError as error:
        why = "cannot be run" if error.code == "program-missing" else f"did not end within {limit(server):g} s"
        raise AegisError(
            "server-control-failed",
            "a command that controls the server does not work",
            f"{server.home}: the {word} command `{shlex.join(command)}` {why}",
            "correct `control` of the member's server, or repair the command, then try again",
        ) from None
    return code, ((err or out).strip().splitlines() or [""])[-1][:300]


def start_command(server: Server) -> list[str]:
    """How the server is started."""
    return _command(server, "start")


def start(server: Server, context: Context) -> None:
    """Starts the server and waits until it holds its data. Raises AegisError `server-start-failed`,
    `server-control-failed`."""
    code, said = _commanded(server, "start")
    data, until = layout(server).data, context.clock.monotonic() + limit(server)
    while code == 0 and context.clock.monotonic() < until:
        context.check()
        if processes(data) or _hidden(server):
            return
        context.clock.sleep(0.1)
    raise AegisError(
        "server-start-failed",
        "the server did not start",
        f"{server.home}: `{shlex.join(_command(server, 'start'))}` ended with {code}{': ' + said if said else ''}",
        f"look into {server.home}/logs/neo4j.log, then try again",
    )


def stop(server: Server, context: Context) -> None:
    """Stops the server. Nothing to do when it is stopped. Raises AegisError `server-stop-failed`."""
    if not certain(server):
        return
    code, said = _commanded(server, "stop")
    until = context.clock.monotonic() + limit(server)
    while context.clock.monotonic() < until:
        if not certain(server):
            return
        if code:
            break
        context.clock.sleep(0.1)
    raise AegisError(
        "server-stop-failed",
        "the server did not stop",
        f"{server.home}: `{shlex.join(_command(server, 'stop'))}` ended with {code}{': ' + said if said else ''}",
        "stop it by hand, then try again",
    )
