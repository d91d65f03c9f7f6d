"""A world whose tool reaches the server through a proxy that can be slow; the tests themselves go straight."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers.postgresql import PASSWORD
from tests.servers.toxiproxy import Proxy, Toxiproxy
from tests.thread.world import World


def through(made: World, toxiproxy: Toxiproxy) -> Proxy:
    """From now on every command of the world reaches its server through the returned proxy."""
    proxy = toxiproxy.to(made.server.port)
    made.environment["POLICY_DB"] = f"host=127.0.0.1 port={proxy.port} user=aegis dbname=postgres password={PASSWORD}"
    return proxy


class Running:
    """A command that runs with `--json`, and the events that it told so far with the time at which each came."""

    def __init__(self, world: World, process: subprocess.Popen[str]) -> None:
        self.world, self.process = world, process
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("{"):
                self.events.append((time.monotonic(), json.loads(line)))

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def progress(self) -> list[tuple[float, int]]:
        """When which number of bytes was told."""
        return [
            (at, int(event["done"]))
            for at, event in list(self.events)
            if event["type"] == "progress" and event.get("done")
        ]

    def moving(self, limit: float = 60.0) -> None:
        """Waits until bytes flow."""
        end = time.monotonic() + limit
        while not self.progress():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}\n{self.text}"
            assert time.monotonic() < end, f"no byte within {limit:g} s\n{self.text}"
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Ctrl-C at a terminal: the signal goes to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self, limit: float = 90.0) -> int:
        """Waits for the end; the exit code."""
        code = self.process.wait(limit)
        self._reader.join(10)
        self.world.outputs.append(self.text)
        return code


@contextmanager
def running(world: World, *words: str) -> Iterator[Running]:
    """Starts a command; whatever still runs at the end is killed."""
    made = Running(world, world.start(*words, "--json"))
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.end()
