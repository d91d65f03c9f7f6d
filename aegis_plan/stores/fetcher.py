"""The records and objects of a chain and its log, read from whichever copy verifies. It releases no byte before it
verified and never writes into a repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from aegis_plan.actions.contract import Context
from aegis_plan.catalog.record import LogRecord, Record, SetRecord, StoredObject
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.repositories import keys as layout_of_keys
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.datakeys import load_key
from aegis_plan.repositories.reader import open_object
from aegis_plan.sealing.keys import DataKey
from aegis_plan.sealing.signatures import verify

_VOLUME = re.compile(r"(.+)\.(\d{3,})")


@dataclass
class Fetcher:
    """Reads records and objects from whichever copy verifies, and tells which did not."""

    context: Context
    store: str
    lineage: str
    keys: dict[str, DataKey] = field(default_factory=dict)
    reported: set[tuple[str, str]] = field(default_factory=set)
    repositories: dict[str, Repository] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Takes every repository that this site can use; the store's own come first."""
        store = self.context.declared.stores[self.store]
        own = store.backup.repositories if store.backup is not None else ()
        known = [name for name in own if name in self.context.repositories]
        for name in dict.fromkeys([*known, *self.context.repositories]):
            try:
                self.repositories[name] = self.context.repositories[name]
            except AegisError as error:
                self.context.find(
                    "warning", "copy-unreachable", "a repository cannot be used from here", f"{name}: {error}"
                )

    @property
    def system(self) -> str:
        return self.context.declared.system.name

    def damaged(self, repository: str, what: str) -> None:
        """Tells of a damaged copy, once each."""
        # A repository that is gone misses every object, and a report of thousands of lines hides the other findings.
        if (repository, what) not in self.reported and sum(name == repository for name, _ in self.reported) < 20:
            self.reported.add((repository, what))
            self.context.find(
                "warning",
                "copy-damaged",
                "a copy of a backup is damaged",
                f"{repository}: {what}",
                "the data was read from another copy; have this one healed or replaced",
            )

    def record(self, identifier: str, digest: str) -> Record:
        """The record with exactly this digest, from any copy. Raises DamageError `record-lost`."""
        key = layout_of_keys.record(self.system, self.store, self.lineage, identifier)
        sealing = self.context.declared.sealing
        reasons = []
        for name, repository in self.repositories.items():
            self.context.check()
            try:
                found, got = verify(read(repository, key), sealing.believed if sealing else {})
            except AegisError as error:
                reasons.append(f"{name}: {error.summary}")
                if isinstance(error, DamageError):
                    self.damaged(name, key)
                continue
            if got == digest:
                return found
            self.damaged(name, key)
            reasons.append(f"{name}: not the record that was planned")
        raise DamageError(
            "record-lost",
            "a record that the plan rests on is in no repository as it was planned",
            f"{identifier}: {'; '.join(reasons) or 'no repository is declared'}",
            "make a new plan; it rests on what is there now",
        )

    def secret(self, name: str, meta: bool) -> bytes:
        """The data key of that name, or the one of its metadata. Raises AegisError `no-key-opens`."""
        if name not in self.keys:
            sealing = self.context.declared.sealing
            self.keys[name] = load_key(
                self.repositories,
                layout_of_keys.data_key_prefix(self.system, self.store, self.lineage, name),
                self.context.keys.identities,
                sealing.believed if sealing else {},
                damage=self.damaged,
            )
        key = self.keys[name]
        found = (key.meta if meta else key.data) or None
        if found is None:
            raise AegisError(
                "no-key-opens",
                "none of the identities opens the backup",
                f"the key {name} is not sealed to an identity of this site for data",
                "name the identity of a recipient, or the offline recovery key, in the site file",
            )
        return found

    def objects(self, stored: list[StoredObject], key: str, *, meta: bool = False) -> Iterator[bytes]:
        """The plain bytes of the volumes of one archive, verified before they are released."""
        for volume in stored:
            self.context.check()
            yield from open_object(self.repositories, volume, self.secret(key, meta), damage=self.damaged)


def archives(record: SetRecord | LogRecord) -> dict[str, list[StoredObject]]:
    """The volumes of each archive of a record, in order, by the archive's name."""
    found: dict[str, list[tuple[int, StoredObject]]] = {}
    for stored in record.objects:
        match = _VOLUME.fullmatch(stored.name)
        name, number = (match.group(1), int(match.group(2))) if match else (stored.name, 0)
        found.setdefault(name, []).append((number, stored))
    return {
        name: [stored for _, stored in sorted(volumes, key=lambda pair: pair[0])] for name, volumes in found.items()
    }
