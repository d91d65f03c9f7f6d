"""What planner and driver of Milvus say to each other: fields of a member, what a look sees, step parameters. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from aegis_plan.documents.model import Section
from aegis_plan.stores.fields import Control


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Server(Section):
    """`members.<name>.server` of a Milvus store: how it is reached and what of it is backed up."""

    mode: Literal["standalone", "cluster", "lite"] = "standalone"
    """`lite` is a file that a program opens by itself; `connection` is then its path."""
    token: str = ""
    """A secret reference to `user:password` or an API key."""
    database: str = "default"
    """The database whose collections are backed up; one store is one database."""
    collections: tuple[str, ...] = ()
    """What is backed up; default every collection of the database."""
    run_as: str | None = None
    """The user of the host as whom it runs."""
    control: str | Control = ""
    """`systemd:<unit>`, or commands; empty: something else starts and stops it."""


class Look(_Frozen):
    """`MemberLook.details` of a Milvus member. What could not be seen is None; names of data are never in it."""

    version: str | None = None
    lite: bool = False
    locked: bool = False
    """Of a Milvus Lite file: whether another program has it open."""
    collections: int | None = None
    missing: int | None = None
    """How many of the declared collections are not there."""


class BackupParams(_Frozen):
    """Parameters of `backup` for Milvus."""

    store: str
    member: str
    lineage: str
    method: Literal["full"] = "full"


class StageParams(_Frozen):
    """Parameters of `stage`: fetch, unseal and verify one set."""

    store: str
    member: str
    lineage: str
    record: str
    """Id of the SetRecord."""
    digest: str
    selection: tuple[str, ...] = ()
    """Names of collections; empty is everything."""
    beside: str | None = None


class LoadParams(_Frozen):
    """Parameters of `load`, `compare`, `swap` and `accept`."""

    store: str
    member: str
    beside: str | None = None
    keep_old: str = "beside"
    """What becomes of the collections that were served before: `beside`, or `no`."""
