"""What each repository was seen to hold: records that are there and whole, and damage found by looking.

Pure data, made by `observe` and carried in a snapshot.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from aegis_plan.catalog.record import Record


class Damage(BaseModel):
    """One thing that is not as its record promises, found without reading all bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str
    key: str
    kind: Literal[
        "missing-object",
        "wrong-size",
        "unreadable-record",
        "bad-signature",
        "unknown-signer",
        "missing-record",
        "rolled-back",
        "wrong-digest",
        "unreadable-keys",
        "hidden-object",
        "misplaced",
    ]
    detail: str
    record: str | None = None
    """Id of the record that suffers, where one does."""


class Wrapped(BaseModel):
    """Data keys in one repository that the same people can open, as those who signed them say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lineage: str
    data: tuple[str, ...]
    """Recipients that open everything."""
    meta: tuple[str, ...]
    """Recipients that open what the next backup needs."""
    keys: tuple[str, ...]
    """Names of the data keys whose newest form there is wrapped to these."""
    older: tuple[str, ...] = ()
    """Those of them that lie there in another form too, which may be open to others."""


class Holding(BaseModel):
    """One repository as it was looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str
    reachable: bool
    reason: str = ""
    """Why it could not be looked at."""
    held: tuple[str, ...] = ()
    """Ids of the records that are here with every object present in its full size."""
    damage: tuple[Damage, ...] = ()
    wrapped: tuple[Wrapped, ...] = ()
    """Who can open the data keys that lie here; empty in what older versions wrote."""


class Shelf(BaseModel):
    """All that the repositories say of one store: every readable record once, and who holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str
    records: tuple[Record, ...] = ()
    """Signature-checked, sorted by id, over all lineages."""
    holdings: tuple[Holding, ...] = ()
    heads: dict[str, tuple[str, ...]] = {}
    """`<lineage>/<aspect>` to the digests of records that no other names yet."""

    @property
    def unseen(self) -> tuple[str, ...]:
        """The repositories that could not be looked at, each with the reason: what they hold is not known."""
        return tuple(f"{one.repository}: {one.reason}" for one in self.holdings if not one.reachable)
