"""A machine that has nothing but an address, a key and the tool: commands run in an empty folder, as another user where
that is possible, without the documents and without the site's files."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.postgresql import Server, free_port
from tests.thread.world import Ran, World


@dataclass
class Bare:
    """One such machine below `folder`."""

    folder: Path
    user: str | None
    environment: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable

    def aegis(self, *words: str, env: Mapping[str, str] | None = None) -> Ran:
        """Runs one command in the empty folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AEGIS", "AWS", "POLICY"))}
        home = {"HOME": str(self.folder), "NO_COLOR": "1", "COLUMNS": "200"}
        who: dict[str, Any] = (
            {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        )
        done = subprocess.run(
            [self.python, "-m", "aegis_plan", *words], cwd=self.folder, capture_output=True, text=True, timeout=180,
            env={**kept, **home, **self.environment, **(env or {})}, stdin=subprocess.DEVNULL, check=False, **who,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str, **options: Any) -> Ran:
        ran = self.aegis(*words, **options)
        assert ran.code == 0, f"aegis {' '.join(words)} ended with {ran.code}\n{ran.text}"
        return ran

    def own(self, *more: Path) -> None:
        """Makes everything in the folder the user's, and in other ones."""
        if self.user:
            ids = pwd.getpwnam(self.user)
            for folder in (self.folder, *more):
                for path in (folder, *folder.rglob("*")):
                    os.chown(path, ids.pw_uid, ids.pw_gid, follow_symlinks=False)


def other_user(world: World) -> str | None:
    """Somebody else than who ran the site, where that user can run this Python at all."""
    if world.server.user is None:
        return None
    try:
        done = subprocess.run([sys.executable, "-c", "import aegis_plan"], user=world.server.user, cwd="/", check=False)
    except PermissionError:  # an interpreter in somebody's home
        return None
    return world.server.user if done.returncode == 0 else None


def machine(world: World, name: str, key: str = "recovery") -> Bare:
    """An empty machine with a private key on a stick; nothing else of the world is given."""
    folder = world.folder.parent / name
    (folder / "stick").mkdir(parents=True)
    folder.chmod(0o755)
    shutil.copy(world.folder / "site" / "keys" / f"{key}.age", folder / "stick" / "key.age")
    # What a person knows besides: who may log in to the server. The value itself is in the escrow, not in documents.
    made = Bare(folder, other_user(world), {"POLICY_DB": "host=127.0.0.1 user=aegis dbname=postgres password=none"})
    made.own()
    return made


def disk(world: World, bare: Bare, repository: str = "seoul") -> str:
    """The repository as a disk that was carried to the machine; its address."""
    target = bare.folder / "disk"
    shutil.copytree(world.repository(repository), target)
    bare.own()
    return f"file://{target}"


def rows_of(world: World, bare: Bare, name: str = "data") -> list[tuple[Any, ...]]:
    """What a server says that is started on the data that came back beside, in `name`."""
    folder = bare.folder / "server"
    folder.mkdir()
    server = Server(folder, world.server.binaries, world.server.user, port=free_port())
    (bare.folder / name).rename(server.data)
    with (server.data / "postgresql.conf").open("a") as conf:
        conf.write(f"\nport = {server.port}\nunix_socket_directories = '/tmp'\n")
    if server.user:
        shutil.chown(folder, server.user)
    server.start()
    try:
        return server.sql("SELECT id, body FROM policies ORDER BY id")
    finally:
        server.end()
        shutil.rmtree(folder)
