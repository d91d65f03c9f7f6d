"""What one repository's copy of a record is worth: each of its objects looked at, some of them read, perhaps unsealed.

It tells damage from what could not be seen, says which kind of damage it is, and repairs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from aegis_plan.catalog.record import Checked, LogRecord, SetRecord, StoredObject
from aegis_plan.errors import AegisError, DamageError, UnavailableError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Head, Repository, read
from aegis_plan.repositories.copies import record_digest, wrapped_keys
from aegis_plan.repositories.datakeys import load_key
from aegis_plan.repositories.reader import open_object
from aegis_plan.sealing.keys import DataKey
from aegis_plan.sealing.signatures import Signers, disclose, verify


@dataclass
class Verifier:
    """Verifies copies in one repository. `names` leads from the digest of sealed bytes to what has them, so that bytes
    that were swapped are named; `identities` open what is read, where there are any and `unseal` is set."""

    repository: Repository
    signers: Signers
    names: Mapping[str, str]
    identities: Sequence[str] = ()
    unseal: bool = False
    stop: Callable[[], None] = lambda: None
    progress: Callable[[int], None] = lambda _bytes: None
    _unseen: list[str] = field(default_factory=list)
    _damage: list[str] = field(default_factory=list)

    def verify(
        self, record: SetRecord | LogRecord, digest: str, *, wanted: Collection[str], unvouched: bool
    ) -> Checked:
        """One copy. The objects `wanted` are read, and, if `unvouched`, those of which the storage proves nothing."""
        self._unseen, self._damage = [], []
        self._look(lambda: self._record(record, digest))
        self._look(lambda: self._keys(record))
        key = self._key(record) if self.unseal and self.identities else None
        done: list[str] = []
        for stored in record.objects:
            self.stop()
            self._look(partial(self._object, stored, stored.name in wanted, unvouched, key, done))
            self.progress(stored.sealed_size)
        return Checked(
            record=record.id,
            verdict="fail" if self._damage else "could_not_verify" if self._unseen else "pass",
            read=tuple(done),
            opened=key is not None and bool(done),
            findings=tuple((self._damage + self._unseen)[:20]),
        )

    def _look(self, at: Callable[[], None]) -> None:
        try:
            at()
        except DamageError as error:
            self._damage.append(f"{error.summary}: {error.detail}")
        except AegisError as error:
            if error.code == "object-missing":
                self._damage.append(f"an object went while it was read: {error.detail}")
            else:
                self._unseen.append(f"{error.summary}: {error.detail}")

    def _record(self, record: SetRecord | LogRecord, digest: str) -> None:
        place = keys.record(record.system, record.store, record.lineage, record.id)
        if self.repository.head(place) is None:
            self._damage.append("its record is not there")
            return
        data = read(self.repository, place)
        verify(data, self.signers)
        if record_digest(data) != digest:
            self._damage.append("its record is another one than in other repositories")

    def _keys(self, record: SetRecord | LogRecord) -> None:
        found = wrapped_keys(record, self.repository)
        if not found:
            self._damage.append("no wrapped data key is there")
        for key in found:
            body, _signer = disclose(read(self.repository, key), "key", self.signers)
            if body.get("name") != record.key:
                self._damage.append(f"{key.rpartition('/')[2]} is the key of something else: {body.get('name')}")

    def _key(self, record: SetRecord | LogRecord) -> DataKey | None:
        prefix = keys.data_key_prefix(record.system, record.store, record.lineage, record.key)
        try:
            return load_key({self.repository.name: self.repository}, prefix, self.identities, self.signers)
        except AegisError as error:
            if error.code != "no-key-opens":
                self._unseen.append(f"{error.summary}: {error.detail}")
            return None

    def _object(
        self, stored: StoredObject, wanted: bool, unvouched: bool, key: DataKey | None, done: list[str]
    ) -> None:
        """Adds the object to `done` when every byte of it was read and is right."""
        head = self.repository.head(stored.key)
        if head is None:
            self._damage.append(f"{stored.name} is missing")
            return
        if head.size != stored.sealed_size:
            kind = "cut short" if head.size < stored.sealed_size else "longer than it should be"
            self._damage.append(f"{stored.name} is {kind}: {head.size} bytes instead of {stored.sealed_size}")
            return
        told = _told(head, stored)
        if told is False:
            before = len(self._damage)
            self._compared(stored)
            if len(self._damage) == before:
                self._damage.append(f"{stored.name} has another checksum at the storage than its bytes have")
            return
        if not wanted and (told is True or not unvouched):
            return
        before = len(self._damage)
        secret = _secret(key, stored)
        if secret is not None:
            self._unsealed(stored, secret)
        else:
            self._compared(stored)
        if len(self._damage) == before:
            done.append(stored.name)

    def _compared(self, stored: StoredObject) -> None:
        found, size = hashlib.sha256(), 0
        for piece in self.repository.get(stored.key):
            self.stop()
            found.update(piece)
            size += len(piece)
        self._same(stored, found.hexdigest(), size)

    def _same(self, stored: StoredObject, digest: str, size: int) -> None:
        if size != stored.sealed_size:
            self._damage.append(f"{stored.name} gives {size} bytes instead of {stored.sealed_size}")
        elif digest != stored.sealed_sha256:
            other = self.names.get(digest)
            what = f"the bytes of {other}" if other else "other bytes, and nothing that is known has them"
            self._damage.append(f"{stored.name} has {what}")

    def _unsealed(self, stored: StoredObject, secret: bytes) -> None:
        found = hashlib.sha256()
        try:
            for piece in open_object(
                {self.repository.name: self.repository}, stored, secret, damage=lambda _name, _what: None
            ):
                self.stop()
                found.update(piece)
        except UnavailableError:
            raise
        except AegisError:
            # What exactly is wrong with it is told by its sealed bytes.
            before = len(self._damage)
            self._compared(stored)
            if len(self._damage) == before:
                raise
            return
        if found.hexdigest() != stored.plain_sha256:
            self._damage.append(f"{stored.name} opens to other data than was backed up")


def _told(head: Head, stored: StoredObject) -> bool | None:
    """Whether the storage itself vouches for the bytes; None: it says nothing."""
    if head.proof == "size":
        return None
    if head.sha256 is not None:
        return head.sha256 == stored.sealed_sha256
    if head.crc32 is not None and stored.sealed_crc32 is not None:
        return head.crc32 == stored.sealed_crc32
    return None


def _secret(key: DataKey | None, stored: StoredObject) -> bytes | None:
    if key is None:
        return None
    return key.meta if keys.for_hosts(stored.name) else key.data
