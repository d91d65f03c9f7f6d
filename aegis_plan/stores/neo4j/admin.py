"""Runs neo4j-admin of a member's server, as the server's account, so that a stop of the step ends it too."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.neo4j.control import environment
from aegis_plan.stores.neo4j.model import Server


def program(server: Server) -> str:
    """Path of neo4j-admin."""
    return server.admin or f"{server.home}/bin/neo4j-admin"


def there(server: Server) -> bool:
    """Whether it can be run here."""
    return shutil.which(program(server)) is not None


def run(context: Context, server: Server, *arguments: str, configuration: Path | None = None) -> None:
    """Raises AegisError `neo4j-admin-failed`."""
    told = {**os.environ, **environment(server)}
    if configuration is not None:
        told["NEO4J_CONF"] = str(configuration)
    done = context.children().run([program(server), *arguments], user=server.run_as, env=told)
    if done.code:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise AegisError(
            "neo4j-admin-failed",
            "neo4j-admin did not do what it was told",
            f"{' '.join(arguments[:3])} ended with {done.code}: {(said or ['it said nothing'])[-1][:300]}",
            "see what it says, then try again",
        )
