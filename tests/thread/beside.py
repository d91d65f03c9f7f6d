"""What a restore beside brings back: the rows, read from a server of its own that is started and stopped here."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

from tests.servers.postgresql import Server, free_port
from tests.thread.world import World

_numbers = itertools.count(1)


def rows_beside(
    world: World,
    *words: str,
    query: str = "SELECT id, body FROM policies ORDER BY id",
    binaries: Path | None = None,
) -> list[Any]:
    """Restores beside, with further options, and reads from what came. `binaries` are those that run it, where they are
    others than the server's."""
    folder = world.folder.parent / f"beside {next(_numbers)}"
    folder.mkdir()
    server = Server(folder, binaries or world.server.binaries, world.server.user, port=free_port())
    if server.user:
        shutil.chown(folder, server.user)
    world.ok("restore", "policy-db", "--beside", str(server.data), "-y", *words)
    try:
        # A socket's path may be 107 bytes long.
        with (server.data / "postgresql.conf").open("a") as conf:
            conf.write(f"\nport = {server.port}\nunix_socket_directories = '{world.server.sockets}'\n")
        server.start()
        return server.sql(query)
    finally:
        server.end()
        shutil.rmtree(folder)
