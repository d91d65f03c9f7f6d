"""The daemon of a world's site, as a person starts it, and what it says of its streams."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.thread.world import World

LIMIT = 60.0
"""Seconds after which something that should happen by itself has not happened."""


def until(what: Callable[[], object], why: Callable[[], object] | str, limit: float = LIMIT) -> None:
    """Waits until it holds."""
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, why if isinstance(why, str) else why()
        time.sleep(0.1)


class Daemon:
    """`aegis site run` of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = self.world.start("site", "run", "--file", "site/seoul.yaml")
        until(lambda: self.said.get("pid") == self._process.pid if self._process else False, "the daemon says nothing")

    def stop(self) -> int:
        return self._end(lambda process: process.terminate())

    def kill(self) -> None:
        self._end(lambda process: process.kill())

    def _end(self, how: Callable[[subprocess.Popen[str]], None]) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        how(process)
        out, _ = process.communicate(timeout=60)
        self.world.outputs.append(out)
        return process.returncode

    @property
    def said(self) -> dict[str, Any]:
        try:
            found = json.loads((self.world.site / "daemon.json").read_text())
        except FileNotFoundError:
            return {}
        assert isinstance(found, dict)
        return found

    @property
    def stream(self) -> dict[str, Any]:
        found = self.said.get("streams", {}).get("policy-db", {})
        assert isinstance(found, dict)
        return found

    def flowed(self, limit: float = LIMIT) -> None:
        """Waits until all that the server flushed by now is archived."""
        world = self.world
        timeline, lsn = world.sql(
            "SELECT timeline_id, (pg_current_wal_flush_lsn() - '0/0')::bigint FROM pg_control_checkpoint()"
        )[0]

        def reached() -> bool:
            said = self.stream
            if said.get("state") != "streaming":
                return False
            own, high, low = said["position"].split("/")
            # The checkpoint of the control file may still be the one before a promotion.
            return int(own) >= timeline and (int(high, 16) << 32 | int(low, 16)) >= lsn

        until(reached, lambda: f"not archived up to {timeline}/{lsn:X}: {self.stream}", limit)


@contextmanager
def daemon(world: World) -> Iterator[Daemon]:
    made = Daemon(world)
    made.start()
    try:
        yield made
    finally:
        made.stop()
