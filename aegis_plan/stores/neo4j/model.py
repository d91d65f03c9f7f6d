"""The Neo4j fields of a member as documents declare them. Pure."""

from __future__ import annotations

from typing import Literal

from aegis_plan.documents.model import Section
from aegis_plan.stores.fields import Control


class Server(Section):
    """`members.<name>.server` of a Neo4j store: what its host needs for a backup and a restore."""

    home: str
    """Folder of the server, which Neo4j calls NEO4J_HOME."""
    configuration: str = ""
    """Folder of neo4j.conf; default `conf` below home."""
    admin: str = ""
    """Path of neo4j-admin; default `bin/neo4j-admin` below home."""
    run_as: str | None = None
    """The user of the host as whom it runs."""
    control: str | Control = "neo4j"
    """`neo4j` (the program below home), `systemd:<unit>`, or commands."""
    edition: Literal["community", "enterprise"] = "community"
    """What it can do: `community` has no online backup of its own."""
    databases: tuple[str, ...] = ("neo4j",)
    """What is backed up; the database `system`, with users and roles, always goes with them."""
    backup_by: Literal["export", "dump"] = "export"
    """`export` reads through Bolt while it serves, `dump` stops the server and is exact."""
    user: str = "neo4j"
    """As whom Bolt is spoken."""
    password: str = ""
    """A secret reference."""
