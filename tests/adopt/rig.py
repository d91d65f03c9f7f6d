"""A server as Debian sets it up, the documents that `init --from` writes of it, and what `check` says."""

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

from tests.servers.debian import Debian, debian
from tests.servers.postgresql import PASSWORD
from tests.thread.world import Ran


@dataclass
class Adopting:
    """One system below `folder`, on a server of Debian's."""

    server: Debian
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    def aegis(self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "aegis_plan", *words], cwd=cwd or self.folder, capture_output=True, text=True,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120", **self.environment, **(env or {})},
            stdin=subprocess.DEVNULL, check=False, timeout=180,
        )  # fmt: skip
        self.outputs.append(done.stdout + done.stderr)
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str) -> Ran:
        ran = self.aegis(*words)
        assert ran.code == 0, f"aegis {' '.join(words)} ended with {ran.code}\n{ran.text}"
        return ran

    def check(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.aegis("check", "--json", *words).out)
        return found

    def obey(self, said: Mapping[str, Any]) -> None:
        """Does exactly what `check` said, nothing else: statements, lines, and what the server needs to notice."""
        missing = [one for one in said["requirements"] if one["state"] == "missing" and one["severity"] == "breach"]
        effects = {one.get("effect") for one in missing}
        for one in missing:
            if one.get("hba"):
                file = Path(one["hba_file"])
                file.write_text("\n".join(one["hba"]) + "\n" + file.read_text())
            if one.get("sql"):
                # What asks for a password is given the one that the connection has.
                database = one.get("database") or "postgres"
                self.server.psql(*one["sql"], database=database, typed=f"{PASSWORD}\n{PASSWORD}\n")
        if "restart" in effects:
            self.server.restart()
        elif "reload" in effects:
            self.server.psql("SELECT pg_reload_conf();")


@contextmanager
def adopting() -> Iterator[Adopting]:
    """Documents and keys are there; nothing was changed on the server, but for a table with rows."""
    with debian() as server:
        folder = server.folder.parent / "system"
        server.psql("CREATE DATABASE shop;")
        server.psql("CREATE TABLE orders (id int); INSERT INTO orders SELECT generate_series(1, 500);", database="shop")
        # An administrator's own login, as the person at the keyboard has it.
        server.psql(f"CREATE ROLE admin SUPERUSER LOGIN PASSWORD '{PASSWORD}';")
        it = Adopting(server, folder)
        admin = f"host=127.0.0.1 port={server.port} user=admin dbname=shop password={PASSWORD}"
        ran = it.aegis("init", str(folder), "--from", admin, "--name", "shop", cwd=server.folder)
        assert ran.code == 0, ran.text
        it.environment["SHOP_DB"] = f"host=127.0.0.1 port={server.port} user=aegis dbname=postgres password={PASSWORD}"
        yield it
