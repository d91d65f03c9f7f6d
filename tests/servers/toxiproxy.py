"""Toxiproxy: stalls, cuts and slowness between the tool and a real server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.servers import ports, program

MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server"


@dataclass(frozen=True)
class Proxy:
    """One listening port that leads to a server."""

    api: str
    name: str
    port: int

    @contextmanager
    def toxic(self, kind: str, stream: str = "downstream", **attributes: float) -> Iterator[None]:
        """The fault for the length of the block: `timeout`, `limit_data`, `bandwidth`, `latency`, `reset_peer`."""
        body = {"name": "fault", "type": kind, "stream": stream, "attributes": attributes}
        httpx.post(f"{self.api}/proxies/{self.name}/toxics", json=body, timeout=60).raise_for_status()
        try:
            yield
        finally:
            self.clear()

    def clear(self) -> None:
        """Takes the fault away; harmless when there is none."""
        httpx.delete(f"{self.api}/proxies/{self.name}/toxics/fault", timeout=60)


@dataclass(frozen=True)
class Toxiproxy:
    """The running proxy server."""

    api: str

    def to(self, port: int) -> Proxy:
        """A new proxy before that port."""
        (listen,) = ports.free()
        name = f"p{listen}"
        body = {"name": name, "listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{port}", "enabled": True}
        httpx.post(f"{self.api}/proxies", json=body, timeout=60).raise_for_status()
        return Proxy(self.api, name, listen)


@pytest.fixture(scope="session")
def toxiproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toxiproxy]:
    binary = program("toxiproxy-server", MODULE)
    (port,) = ports.free()
    log: Path = tmp_path_factory.mktemp("toxiproxy") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([binary, "-host", "127.0.0.1", "-port", str(port)], stdout=out, stderr=out)
    try:
        ports.wait(port, process)
        yield Toxiproxy(f"http://127.0.0.1:{port}")
    finally:
        ports.stop(process)
