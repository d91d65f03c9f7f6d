"""The records a catalog is folded from: immutable, signed, each naming those its writer knew before it.

A backup set exists when its `SetRecord` does; the record is written last and is the set's manifest. Pure data: reading
and writing them is `repositories/records.py`, signing them is `sealing/signatures.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

FORMAT = 1
"""Format of records written now."""
OLDEST_READER = 1
"""The oldest format whose reader understands what is written now."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredObject(_Frozen):
    """One sealed object of a set or of a log range, the same bytes in every repository that holds it."""

    name: str
    """Name within the set: `base.000`, `manifest`, `config`."""
    key: str
    """Full key in a repository."""
    plain_size: int
    plain_sha256: str
    sealed_size: int
    sealed_sha256: str
    sealed_crc32: str | None = None
    """CRC-32, eight hex digits: what object stores can vouch for of an object sent in parts."""


class _Record(_Frozen):
    format: int = FORMAT
    oldest_reader: int = OLDEST_READER
    id: str
    """Sorts by time: made by `clock.new_id`."""
    system: str
    store: str
    lineage: str
    """One history of the store, in the words of its driver: for PostgreSQL `<system identifier>-<major version>`."""
    aspect: Literal["data", "log"]
    written: datetime
    site: str
    """Whose key signs."""
    previous: tuple[str, ...] = ()
    """Digests of the records of this store, lineage and aspect that nothing named yet when this one was written."""


class SetRecord(_Record):
    """The manifest of one backup set."""

    kind: Literal["set"] = "set"
    aspect: Literal["data", "log"] = "data"
    set: str
    engine: str
    method: Literal["full", "incremental"]
    parent: str | None = None
    """The set that an incremental builds on."""
    begun: datetime
    ended: datetime
    begin: str
    """Position at which the copy began, in the driver's own words; a log must reach from here."""
    end: str
    """Position from which the set is consistent."""
    not_before: datetime
    """The recovery point's state is that of a moment not before this one."""
    not_after: datetime
    consistency: Literal["exact", "fuzzy"] = "exact"
    key: str
    """Name of the data key; the `keys/` objects of that name wrap it."""
    objects: tuple[StoredObject, ...]
    details: dict[str, Any] = Field(default_factory=dict)
    """The driver's own facts: versions, settings, extensions, collations, tablespaces. Never a secret."""
    run: str
    tool: str


class LogRecord(_Record):
    """One immutable range of a store's log."""

    kind: Literal["log"] = "log"
    aspect: Literal["data", "log"] = "log"
    begin: str
    end: str
    """Exclusive. Both in the driver's words; for PostgreSQL `<timeline>/<LSN>`."""
    covers_until: datetime
    """Every commit acknowledged before this moment of the server's clock is in this range or before it."""
    key: str
    objects: tuple[StoredObject, ...]
    details: dict[str, Any] = Field(default_factory=dict)


class Ending(_Frozen):
    """One record that a tombstone ends."""

    record: str
    """Id of the record."""
    digest: str
    """Its digest: whoever names it as a predecessor does not miss it after it went."""
    reason: str


class TombstoneRecord(_Record):
    """Says that sets, ranges or other records are going or gone, and why.

    What it ends no longer counts; its objects are deleted from `delete_from` on, unless a hold came in between."""

    kind: Literal["tombstone"] = "tombstone"
    targets: tuple[Ending, ...]
    delete_from: datetime
    run: str


class HoldRecord(_Record):
    """Keeps sets from going whatever their age, also such as a tombstone that is older than it has ended already."""

    kind: Literal["hold"] = "hold"
    targets: tuple[str, ...] = ()
    """Ids of the records that it keeps; none: everything that the store has."""
    until: datetime | None = None
    """None: until it is released."""
    reason: str
    by: str
    run: str


class ReleaseRecord(_Record):
    """Ends a hold."""

    kind: Literal["release"] = "release"
    hold: str
    """Id of the hold's record."""
    reason: str
    by: str
    run: str


class Checked(_Frozen):
    """What a verification found of one record in one repository."""

    record: str
    """Id of the record."""
    verdict: Literal["pass", "fail", "could_not_verify"]
    read: tuple[str, ...] = ()
    """Names of the objects whose every byte was read and compared; of the others the service's word was taken."""
    opened: bool = False
    """Whether what was read was unsealed too, and the bytes within compared."""
    findings: tuple[str, ...] = ()


class VerificationRecord(_Record):
    """What one verification found in one repository."""

    kind: Literal["verification"] = "verification"
    repository: str
    checked: tuple[Checked, ...]
    run: str


class LockRecord(_Record):
    """Says until when a repository keeps the objects of some records from everyone who would remove them."""

    kind: Literal["lock"] = "lock"
    repository: str
    targets: tuple[str, ...]
    """Ids of the records."""
    until: datetime
    run: str


Record = Annotated[
    SetRecord | LogRecord | TombstoneRecord | HoldRecord | ReleaseRecord | VerificationRecord | LockRecord,
    Field(discriminator="kind"),
]
ADAPTER: TypeAdapter[Record] = TypeAdapter(Record)
