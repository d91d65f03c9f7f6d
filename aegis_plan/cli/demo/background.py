"""Servers of the demo that run beside the story: each is a process of ours on loopback, ended by its pid.

It knows nothing of what they serve.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aegis_plan.errors import AegisError

PATIENCE = 90.0
"""Seconds that a server may take until it listens; a busy machine needs a multiple of the usual ten."""


@dataclass
class Background:
    """One program with its log."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    def wait(self, port: int) -> None:
        """Returns when it listens. Raises AegisError `demo-server-failed` with the end of its log."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        raise failed(self.name, self.log.read_text(errors="replace")[-1500:].strip() or "it does not listen", self.log)

    def stop(self, patience: float = 30.0) -> None:
        """Asks it to end, and ends it."""
        self.process.terminate()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(name: str, command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> Background:
    """Starts a program in a folder; Ctrl-C in the terminal does not reach it."""
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Background(name, log, process)


def failed(name: str, said: str, log: Path) -> AegisError:
    """What is said where a server of the demo does not do what it should."""
    return AegisError(
        "demo-server-failed",
        "the demo's database server does not do what it should",
        f"{name}: {said}",
        f"its own log is {log}",
    )


def free_ports(count: int, shadow: int = 0) -> list[int]:
    """Ports that nobody uses now; with `shadow` the port that much higher is free too."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            first = socket.socket()
            held.append(first)
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            if shadow:
                # Outgoing connections take their ports from the same range: stay below it.
                port = 10_000 + port % 12_000
                pair = [socket.socket(), socket.socket()]
                held.extend(pair)
                try:
                    for each, number in zip(pair, (port, port + shadow), strict=True):
                        each.bind(("127.0.0.1", number))
                except OSError:
                    continue
            if port not in found:
                found.append(port)
    finally:
        for each in held:
            each.close()
    return found
