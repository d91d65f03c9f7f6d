"""A whole small system for tests that go through the product's own commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.servers.postgresql import PASSWORD as CANARY
from tests.servers.postgresql import Server, cluster


@dataclass(frozen=True)
class Ran:
    """One command that ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass
class World:
    """One system below `folder`."""

    folder: Path
    server: Server
    environment: dict[str, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    """All that any command printed, for the canary."""

    @property
    def plans(self) -> Path:
        return self.folder / "plans"

    def repository(self, name: str) -> Path:
        return self.folder / "repositories" / name

    @property
    def site(self) -> Path:
        """The folder with ledger, runs and locks."""
        return self.folder / "site" / "seoul"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "aegis_plan", *words]

    def env(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            **os.environ,
            "POLICY_DB": self.dsn(),
            "NO_COLOR": "1",
            "COLUMNS": "120",
            **self.environment,
            **(extra or {}),
        }

    def dsn(self) -> str:
        return f"{self.server.dsn()} password={CANARY}"

    def aegis(
        self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 180.0
    ) -> Ran:
        """Runs one command to its end."""
        done = subprocess.run(
            self.command(*words), cwd=cwd or self.folder, env=self.env(env), capture_output=True, text=True,
            timeout=timeout, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        self.outputs.append(done.stdout + done.stderr)
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str, **options: Any) -> Ran:
        """Runs one command that must succeed."""
        ran = self.aegis(*words, **options)
        assert ran.code == 0, f"aegis {' '.join(words)} ended with {ran.code}\n{ran.text}"
        return ran

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Starts one command and leaves it running, in a process group of its own."""
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.env(env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.server.sql(query, *parameters)

    def rows(self) -> list[tuple[Any, ...]]:
        """All rows of the table of the tests, in order."""
        return self.sql("SELECT id, body FROM policies ORDER BY id")

    def insert(self, count: int, label: str) -> None:
        self.sql(f"INSERT INTO policies (body) SELECT '{label} ' || g FROM generate_series(1, {count}) g")

    def destroy(self) -> None:
        """The disaster: the server is killed and its data directory is gone."""
        self.server.kill()
        shutil.rmtree(self.server.data)

    def runs(self) -> list[Path]:
        return sorted((self.site / "runs").iterdir())

    def journal(self, run: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]

    def declare_log(self, text: str) -> None:
        """Says in the documents how the log is archived."""
        path = self.plans / "aegis.yaml"
        changed, count = re.subn(r"log: \{[^}]*\}", f"log: {{{text}}}", path.read_text())
        assert count == 1
        path.write_text(changed)

    def now(self) -> str:
        return datetime.now(UTC).isoformat()


def documents(world_folder: Path, server: Server, repositories: Sequence[str], extra: str = "") -> str:
    """The documents of the tests, as text."""
    places = "\n".join(f"  {name}: {{kind: local, site: seoul, path: ../repositories/{name}}}" for name in repositories)
    # Half a day from now: no test may see another plan because something fell due while it ran.
    far = f"{datetime.now(ZoneInfo('Asia/Seoul')) + timedelta(hours=12):%M %H}"
    return f"""\
aegis: v1
system: {{name: aegis, timezone: Asia/Seoul, objectives: {{rto: 4h, rpo: 15m}}}}
state: {{authority: {repositories[0]}}}
tiers: {{1: {{name: critical, rto: 1h, rpo: 15m}}}}
sites:
  seoul: {{role: primary, reach: local, file: ../site/seoul.yaml}}
services:
  user-authentication: {{tier: 1, uses: [policy-db]}}
stores:
  policy-db:
    engine: postgresql
    members:
      seoul-1:
        site: seoul
        connection: "${{env:POLICY_DB}}"
        server: {{data_directory: "{server.data}", binaries: "{server.binaries}", run_as: {server.user or "null"}}}
    backup:
      repositories: [{", ".join(repositories)}]
      full: {{schedule: "{far} * * 0", retain: 4 weeks}}
      incremental: {{schedule: "{far} * * 1-6", retain: 1 week}}
      log: {{schedule: "{far} * * *", retain: 3 days}}
repositories:
{places}
scenarios:
  database-failure:
    {{disruption: store, affects: {{stores: [policy-db]}}, strategy: restore, expect: {{rto: 2h, rpo: 5m}}}}
{extra}"""


TABLE = """CREATE TABLE policies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text, at timestamptz DEFAULT now())"""


@contextmanager
def world(repositories: Sequence[str] = ("seoul", "busan"), extra: str = "", major: int = 18) -> Iterator[World]:
    """A running server with a table, documents and keys; nothing is backed up yet."""
    with cluster(major) as server:
        folder = server.folder.parent / "aegis system"
        made = World(folder, server)
        made.plans.mkdir(parents=True)
        (folder / "repositories").mkdir()
        (made.plans / "aegis.yaml").write_text(documents(folder, server, repositories, extra))
        made.ok("keys", "new", "seoul", "--dir", "site", "--documents", "plans/sealing.yaml")
        made.sql(TABLE)
        made.insert(100, "first")
        yield made
