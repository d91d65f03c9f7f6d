"""The Milvus fields of a member as documents declare them. Pure."""

from __future__ import annotations

from typing import Literal

from aegis_plan.documents.model import Section
from aegis_plan.stores.fields import Control


class Server(Section):
    """`members.<name>.server` of a Milvus store: how it is reached and what of it is backed up."""

    mode: Literal["standalone", "cluster", "lite"] = "standalone"
    """`lite` is a file that a program opens by itself; `connection` is then its path."""
    token: str = ""
    """A secret reference to `user:password` or an API key."""
    database: str = "default"
    """The database whose collections are backed up."""
    collections: tuple[str, ...] = ()
    """What is backed up; default every collection of the database."""
    run_as: str | None = None
    """The user of the host as whom it runs."""
    control: str | Control = ""
    """`systemd:<unit>`, or commands; empty: something else starts and stops it."""
