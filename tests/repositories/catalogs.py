"""Small signed catalogs for tests: sets and ranges of a few bytes, put into repositories in the product's order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.record import Ending, LogRecord, Record, SetRecord, StoredObject, TombstoneRecord
from aegis_plan.clock import new_id
from aegis_plan.repositories import keys, records
from aegis_plan.repositories.contract import Repository
from aegis_plan.sealing.keys import PART, new_signing_key
from aegis_plan.sealing.signatures import digest, enclose, sign

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
SECONDS = 10


def signed_key(name: str, site: str, private: bytes) -> bytes:
    """A wrapped data key that nobody can open, signed as it has to be."""
    half = {"age": "", "recipients": ["age1nobody"]}
    body = {"format": 1, "generation": 0, "name": name, "oldest_reader": 1, "data": half, "meta": half}
    return enclose(body, PART, site, private)


@dataclass
class Writer:
    """A site that writes the catalog of one store."""

    system: str = "s"
    store: str = "x"
    lineage: str = "7000000000000000001-18"
    site: str = "seoul"
    private: bytes = b""
    public: str = ""
    written: int = 0
    """How many records were made; each is ten seconds later than the one before."""
    heads: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.private:
            self.private, self.public = new_signing_key()

    @property
    def signers(self) -> dict[str, str]:
        return {self.site: self.public}

    def _common(self, aspect: str, ago: timedelta | None) -> dict[str, Any]:
        moment = START + timedelta(seconds=SECONDS * self.written) - (ago or timedelta())
        self.written += 1
        return {
            "id": new_id(moment), "system": self.system, "store": self.store, "lineage": self.lineage,
            "written": moment, "site": self.site, "previous": self.heads.get(aspect, ()),
        }  # fmt: skip

    def _stored(self, place: str) -> tuple[StoredObject, bytes]:
        body = os.urandom(40)
        key = f"{keys.lineage_root(self.system, self.store, self.lineage)}{place}"
        stored = StoredObject(
            name=place.rpartition("/")[2], key=key, plain_size=64, plain_sha256=os.urandom(32).hex(),
            sealed_size=len(body), sealed_sha256=hashlib.sha256(body).hexdigest(), sealed_crc32=os.urandom(4).hex(),
        )  # fmt: skip
        return stored, body

    def range(self, begin: int | None = None, end: int | None = None, ago: timedelta | None = None) -> Made:
        """The next range of log."""
        low = begin if begin is not None else 0x1000000 + self.written * 64
        high = end if end is not None else low + 64
        common = self._common("log", ago)
        stored, body = self._stored(f"log/00000001/{low:016X}-{high:016X}-{common['id'][-6:]}")
        record = LogRecord(
            **common, begin=f"1/{low >> 32:X}/{low & 0xFFFFFFFF:X}", end=f"1/{high >> 32:X}/{high & 0xFFFFFFFF:X}",
            covers_until=common["written"], key=f"log-{common['id']}", objects=(stored,),
        )  # fmt: skip
        return self._made(record, [(stored.key, body)])

    def full(self, ago: timedelta | None = None) -> Made:
        """A full."""
        common = self._common("data", ago)
        name = f"{common['id']}-F1"
        stored, body = self._stored(f"sets/{name}/base.000")
        when = common["written"]
        record = SetRecord(
            **common, set=name, engine="postgresql", method="full", begun=when, ended=when, begin="1/0/1000000",
            end="1/0/1000040", not_before=when, not_after=when, key=name, objects=(stored,), run="r", tool="t",
        )  # fmt: skip
        return self._made(record, [(stored.key, body)])

    def tombstone(self, of: Record) -> Made:
        """What ends a record."""
        common = self._common(of.aspect, None)
        target = Ending(record=of.id, digest=digest(of), reason="expired")
        record = TombstoneRecord(**common, aspect=of.aspect, targets=(target,), delete_from=common["written"], run="r")
        return self._made(record, [])

    def _made(self, record: Record, objects: list[tuple[str, bytes]]) -> Made:
        self.heads[record.aspect] = (digest(record),)
        if isinstance(record, SetRecord | LogRecord):
            place = keys.data_key(self.system, self.store, self.lineage, record.key, 0)
            objects = [*objects, (place, signed_key(record.key, self.site, self.private))]
        return Made(record, tuple(objects), sign(record, self.site, self.private)[0])

    def shelf(self, repositories: Mapping[str, Repository], **more: Any) -> Shelf:
        known = {"cache": None, **more}
        return records.shelf(self.system, self.store, self.signers, repositories, **known)


@dataclass(frozen=True)
class Made:
    """A record with what it names."""

    record: Any
    objects: tuple[tuple[str, bytes], ...]
    data: bytes

    @property
    def key(self) -> str:
        one = self.record
        return keys.record(one.system, one.store, one.lineage, one.id)

    @property
    def id(self) -> str:
        return str(self.record.id)

    @property
    def looked_at(self) -> tuple[str, ...]:
        """What a look reads of it: the wrapped key and the record."""
        return (*(key for key, _ in self.objects if "/keys/" in key), self.key)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Everything, the record last."""
        yield from self.objects
        yield self.key, self.data

    def put(self, *repositories: Repository) -> None:
        for repository in repositories:
            for key, body in self.files():
                repository.put(key, body)
