"""A small system with one Milvus store, for tests that go through the product's own commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from milvus_lite.server_manager import server_manager_instance
from pymilvus import MilvusClient

from tests.thread.world import Ran


@contextmanager
def opened(path: str) -> Iterator[MilvusClient]:
    """A Milvus Lite file in the hands of the client library, until the block ends."""
    client = MilvusClient(path)
    try:
        yield client
    finally:
        client.close()
        server_manager_instance.release_server(path)


@dataclass
class World:
    """One system below `folder` with a store `vectors`."""

    folder: Path
    connection: str
    """A path, or an address."""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def site(self) -> Path:
        return self.folder / "site" / "seoul"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "aegis_plan", *words]

    def env(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", **self.environment, **(extra or {})}

    def aegis(self, *words: str, env: Mapping[str, str] | None = None) -> Ran:
        done = subprocess.run(
            self.command(*words), cwd=self.folder, env=self.env(env), capture_output=True, text=True, timeout=300,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str, env: Mapping[str, str] | None = None) -> Ran:
        ran = self.aegis(*words, env=env)
        assert ran.code == 0, f"aegis {' '.join(words)} ended with {ran.code}\n{ran.text}"
        return ran

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.env(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def records(self) -> list[dict[str, Any]]:
        """The set records in the repository, oldest first."""
        found = [json.loads(path.read_bytes()) for path in (self.folder / "repositories").rglob("records/*")]
        bodies = [one.get("record", one) for one in found]
        return sorted((one for one in bodies if one.get("kind") == "set"), key=lambda one: str(one["id"]))

    @contextmanager
    def client(self, path: str | None = None) -> Iterator[MilvusClient]:
        """The client library, as a program would use it; a file is let go again afterwards."""
        with opened(path or self.connection) as client:
            yield client


def make(folder: Path, connection: str, server: str, more: str = "") -> World:
    """Documents and keys; nothing is backed up yet."""
    world = World(folder, connection)
    (folder / "plans").mkdir(parents=True)
    (folder / "repositories").mkdir()
    (folder / "plans" / "aegis.yaml").write_text(f"""\
aegis: v1
system: {{name: aegis, timezone: Asia/Seoul, objectives: {{rto: 4h, rpo: 1d}}}}
state: {{authority: here}}
tiers: {{1: {{name: critical}}}}
sites:
  seoul: {{role: primary, reach: local, file: ../site/seoul.yaml}}
services:
  search: {{tier: 1, uses: [vectors]}}
stores:
  vectors:
    engine: milvus
    members: {{one: {{site: seoul, connection: "{connection}", server: {server}}}}}
    backup: {{repositories: [here], full: {{retain: 4 weeks}}}}
{more}repositories:
  here: {{kind: local, site: seoul, path: ../repositories/here}}
scenarios:
  vectors-lost: {{disruption: store, affects: {{stores: [vectors]}}, strategy: restore}}
""")
    world.ok("keys", "new", "seoul", "--dir", "site", "--documents", "plans/sealing.yaml")
    return world
