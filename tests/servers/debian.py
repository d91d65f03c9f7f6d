"""A PostgreSQL 15 as Debian's own tools set it up, in private folders: configuration apart from the data, peer over the
socket, scram over loopback, no role but `postgres`."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import unavailable
from tests.servers.postgresql import free_port, private_folder, user

VERSION, NAME = "15", "main"


@dataclass
class Debian:
    """One cluster below `folder`."""

    folder: Path
    port: int

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    @property
    def config(self) -> Path:
        return self.etc / VERSION / NAME

    @property
    def hba(self) -> Path:
        return self.config / "pg_hba.conf"

    @property
    def data(self) -> Path:
        return self.folder / "lib" / VERSION / NAME

    @property
    def sockets(self) -> Path:
        return self.folder / "run"

    def ctl(self, word: str, *more: str) -> None:
        """What Debian starts and stops clusters with."""
        done = subprocess.run(
            ["pg_ctlcluster", VERSION, NAME, word, *more], env={**os.environ, "PG_CLUSTER_CONF_ROOT": str(self.etc)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0 or word == "stop", done.stderr

    def restart(self, word: str = "restart") -> None:
        """As an administrator would, in a fraction of the time that Debian's tool takes. `stop`: no more than that."""
        subprocess.run(
            [f"/usr/lib/postgresql/{VERSION}/bin/pg_ctl", "-D", str(self.data), "-m", "fast", "-w", word,
             *(["-l", str(self.folder / "log/pg.log")] if word == "restart" else [])],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, cwd="/",
            **({"user": user(), "extra_groups": _groups()} if user() else {}),
        )  # fmt: skip

    def psql(self, *lines: str, database: str = "postgres", typed: str = "") -> str:
        """Runs lines as the superuser over the socket, as an administrator would; `typed` answers questions."""
        script = self.folder / "typed.sql"
        script.write_text("\n".join(lines) + "\n")
        done = subprocess.run(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self.sockets), "-p", str(self.port), "-d", database,
             "-f", str(script)],
            input=typed, capture_output=True, text=True, check=False, cwd="/", start_new_session=True,
            **({"user": user(), "extra_groups": []} if user() else {}),
        )  # fmt: skip
        assert done.returncode == 0, f"{lines}: {done.stderr}"
        return done.stdout.strip()


def _groups() -> list[int]:
    """Debian's key for TLS may be read by a group of the account."""
    name = user()
    return os.getgrouplist(name, pwd.getpwnam(name).pw_gid) if name else []


@contextmanager
def debian() -> Iterator[Debian]:
    """A running cluster, made with pg_createcluster; skips where there is none."""
    if shutil.which("pg_createcluster") is None or not Path(f"/usr/lib/postgresql/{VERSION}/bin/postgres").exists():
        unavailable(f"Debian's postgresql-{VERSION} is not installed")
    who = user()
    if who != "postgres":
        unavailable("pg_createcluster makes clusters of the user 'postgres', which takes root")
    with private_folder() as folder:
        made = Debian(folder / "deb", free_port())
        for path in (made.folder, made.etc, made.folder / "lib", made.folder / "log", made.sockets):
            path.mkdir()
            shutil.chown(path, who)
        subprocess.run(
            ["pg_createcluster", "-d", str(made.data), "-l", str(made.folder / "log/pg.log"), "-s", str(made.sockets),
             "-p", str(made.port), "--start-conf=manual", VERSION, NAME, "--", "--no-sync"],
            env={**os.environ, "PG_CLUSTER_CONF_ROOT": str(made.etc), "LC_ALL": "C.UTF-8"}, check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
        )  # fmt: skip
        text = (made.config / "postgresql.conf").read_text()
        # The one path that is neither in the private folders nor asked for: clusters of two tests would share it.
        text = "\n".join(line for line in text.splitlines() if not line.startswith("external_pid_file"))
        (made.config / "postgresql.conf").write_text(text + "\nfsync = off\n")
        made.ctl("start")
        try:
            yield made
        finally:
            made.ctl("stop", "-m", "immediate")
