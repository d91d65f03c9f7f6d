"""The Neo4j fields of a member as documents declare them, and the parameters of its steps. Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aegis_plan.documents.model import Section
from aegis_plan.documents.scalars import Duration
from aegis_plan.stores.fields import Control


class Server(Section):
    """`members.<name>.server` of a Neo4j store: what its host needs for a backup and a restore."""

    home: str
    """Folder of the server, which Neo4j calls NEO4J_HOME."""
    configuration: str = ""
    """Folder of neo4j.conf; default `conf` below home."""
    admin: str = ""
    """Path of neo4j-admin; default `bin/neo4j-admin` below home. The program `neo4j` is looked for beside it."""
    run_as: str | None = None
    """The user of the host as whom it runs."""
    control: str | Control = "neo4j"
    """`neo4j` (the program below home), `systemd:<unit>`, or commands."""
    edition: Literal["community", "enterprise"] = "community"
    """What it can do: `community` has no online backup of its own."""
    databases: tuple[str, ...] = ("neo4j",)
    """What is backed up."""
    backup_by: Literal["export", "dump"] = "export"
    """`export` reads through Bolt while it serves; `dump` stops the server, is exact, and takes `system` along, with
    users and passwords."""
    exports: int = Field(default=3, ge=1, le=20)
    """How often an export is begun to get an exact one; the last of them is kept as fuzzy where others write on."""
    quiet: Duration = Field(default="5s", validate_default=True)
    """How long nobody must have written before an export is begun anew; waited for ten times that at most."""
    user: str = "neo4j"
    """As whom Bolt is spoken."""
    password: str = ""
    """A secret reference."""


class Look(BaseModel):
    """What is seen of one member; everything may be unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str | None = None
    edition: str | None = None
    store_format: str | None = None
    nodes: int | None = None
    relationships: int | None = None
    free_bytes: int | None = None
    used_bytes: int | None = None
    data_directory: Literal["unknown", "elsewhere", "missing", "empty", "readable"] = "unknown"
    leftovers: str = ""
    """Where an unfinished restore left something, and of which run."""


class Params(BaseModel):
    """What every step of this engine carries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str
    member: str


class BackupParams(Params):
    """Of a `backup` step."""

    lineage: str
    method: Literal["full"] = "full"


class StageParams(Params):
    """Of a `stage` step."""

    lineage: str
    record: str
    """The set's record, and its digest."""
    digest: str
    beside: str | None = None
    need_bytes: int = 0


class LoadParams(Params):
    """Of a `load` step."""

    beside: str | None = None


class SwapParams(Params):
    """Of a `swap` step."""

    load: str
    """The step that loaded the data."""


class AcceptParams(Params):
    """Of an `accept` step."""

    load: str


class Counts(BaseModel):
    """What a database holds, in numbers and sums that do not depend on any order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: int = 0
    relationships: int = 0
    nodes_sum: str = ""
    relationships_sum: str = ""
    labels: dict[str, int] = Field(default_factory=dict)
    types: dict[str, int] = Field(default_factory=dict)


class Exported(BaseModel):
    """One database of an export, as the set's manifest tells of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    counts: Counts
    constraints: tuple[dict[str, Any], ...] = ()
    indexes: tuple[dict[str, Any], ...] = ()


class Manifest(BaseModel):
    """What a set holds; it is sealed, because it names data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    kind: Literal["export", "dump"]
    exact: bool = True
    databases: tuple[Exported, ...]
    """In the order of the archives, which are named `<number>.nodes` and so on."""
