"""The signed manifest of one publication of the documents. Pure data; which of them are believed is found out by
`repositories/publications.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1
OLDEST_READER = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Laid(_Frozen):
    """One object that a publication names, the same bytes in every repository."""

    name: str
    """A file name for people: `documents.age`, `unseal.py`, that of a wheel."""
    key: str
    size: int
    sha256: str


class Publication(_Frozen):
    """What was in force from one moment on. It can be read by whoever reads the bucket: no person and no connection
    stands in it."""

    format: int = FORMAT
    oldest_reader: int = OLDEST_READER
    id: str
    """`<system>/<number>`."""
    system: str
    number: int = Field(ge=1)
    previous: str = ""
    """Digest of the publication before; empty for the first one."""
    written: datetime
    site: str
    """Whose key signs."""
    run: str
    tool: str
    """The version that wrote it."""
    schema_version: str = "v1"
    """Version of the documents."""
    revision: str
    """Digest of the files as they were and of the values of their variables; the same wherever they lie."""
    documents: Laid
    """The files, sealed."""
    signers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Site to all public keys that are believed under its name, the present one first."""
    publishers: tuple[str, ...] = ()
    """Public keys that sign now: one of them has to sign the next publication."""
    vouchers: tuple[str, ...] = ()
    """What holders of private keys said of signers, see `sealing/vouchers.py`."""
    protection: dict[str, Any] = Field(default_factory=dict)
    """What is backed up when and how long it is kept, for a host that has no key to the documents."""
    beside: tuple[Laid, ...] = ()
    """For a machine that has nothing: runbook, stand-alone program, wheels."""
