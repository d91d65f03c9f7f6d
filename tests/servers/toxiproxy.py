"""Toxiproxy: stalls, cuts and slowness between the tool and a real server."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.servers import ports, program

MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Proxy:
    """One listening port that leads to a server."""

    api: str
    name: str
    port: int
    pid: int
    """Of the process that serves this link and others."""

    @contextmanager
    def toxic(self, kind: str, stream: str = "downstream", **attributes: float) -> Iterator[None]:
        """The fault for the length of the block: `timeout`, `limit_data`, `bandwidth`, `latency`, `reset_peer`."""
        # A name of its own: where an answer was lost, a second try says that it is there.
        body = {"name": f"fault{next(_NUMBERS)}", "type": kind, "stream": stream, "attributes": attributes}
        _until(lambda: httpx.post(self._toxics, json=body, timeout=60), 200, 409)
        try:
            yield
        finally:
            self.clear()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing passes in either direction for the length of the block, and nothing is closed.

        A fault of the proxy's own would have to be put into links whose data may be held up already, for which the
        proxy then waits with all its links."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def clear(self) -> None:
        """Takes the faults away; harmless when there is none."""
        for found in _until(lambda: httpx.get(self._toxics, timeout=60), 200).json():
            path = f"{self._toxics}/{found['name']}"
            _until(lambda path=path: httpx.delete(path, timeout=60), 204, 404)

    @property
    def _toxics(self) -> str:
        return f"{self.api}/proxies/{self.name}/toxics"


def _until(ask: Callable[[], httpx.Response], *fine: int) -> httpx.Response:
    """Asks until it is answered: while a slow link is being changed the proxy says 503."""
    end = time.monotonic() + 120
    while (said := ask()).status_code not in fine:
        if time.monotonic() > end:
            said.raise_for_status()
        time.sleep(0.5)
    return said


@dataclass(frozen=True)
class Toxiproxy:
    """The running proxy server."""

    api: str
    pid: int

    def to(self, port: int) -> Proxy:
        """A new proxy before that port."""
        (listen,) = ports.free()
        name = f"p{listen}"
        body = {"name": name, "listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{port}", "enabled": True}
        httpx.post(f"{self.api}/proxies", json=body, timeout=60).raise_for_status()
        return Proxy(self.api, name, listen, self.pid)


@pytest.fixture(scope="session")
def toxiproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toxiproxy]:
    binary = program("toxiproxy-server", MODULE)
    (port,) = ports.free()
    log: Path = tmp_path_factory.mktemp("toxiproxy") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([binary, "-host", "127.0.0.1", "-port", str(port)], stdout=out, stderr=out)
    try:
        ports.wait(port, process)
        yield Toxiproxy(f"http://127.0.0.1:{port}", process.pid)
    finally:
        ports.stop(process)
