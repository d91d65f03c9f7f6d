"""Starts a stopped server again when we die: a small shell that waits for our end at a pipe. It holds no lock."""

from __future__ import annotations

import os
import subprocess
from types import TracebackType
from typing import Any

from aegis_plan.stores.neo4j.control import environment, start_command
from aegis_plan.stores.neo4j.model import Server
from aegis_plan.stores.programs import account

# What dumped for us may take a moment to end, and until then the server does not get its data.
_SCRIPT = 'read -r said; [ "$said" = done ] && exit 0; for n in 1 2 3 4 5 6; do sleep 5; "$@" && exit 0; done'


class Guard:
    """Used as a context manager around the time in which the server stands still; left in order it does nothing."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> Guard:
        identity: dict[str, Any] = {}
        if self._server.control == "neo4j" and (ids := account(self._server.run_as)) is not None:
            identity = {"user": ids[0], "group": ids[1], "extra_groups": []}
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "sh", *start_command(self._server)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment(self._server)},
            cwd="/",
            start_new_session=True,
            **identity,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"done\n")
        self._process.stdin.close()
        self._process.wait()
