"""One repository as it was looked at for one store: what is listed there, which records can be believed, and what each
lacks. It tells what is wrong and never repairs."""

from __future__ import annotations

import hashlib
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from aegis_plan.catalog.holding import Damage
from aegis_plan.catalog.record import LogRecord, Record, SetRecord
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Listed, Repository, read
from aegis_plan.repositories.datakeys import rightly_named
from aegis_plan.repositories.recordcache import Changes
from aegis_plan.sealing.canonical import digest
from aegis_plan.sealing.keys import Wrapping, wrapping
from aegis_plan.sealing.signatures import Signers, verify

Kind = Literal[
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
Believed = tuple[Record, str]
"""A record whose signature was verified, and its digest."""
Remembered = Mapping[str, tuple[Listed, bytes]]
"""By key: a line of a listing and the bytes that were read for it."""

_ALIVE: dict[tuple[str, bytes], tuple[weakref.ref[Record], str]] = {}
"""Records that this process verified and still uses, with their digests, by the signers believed then and by their
bytes: a plan and the check right before its run look at the same catalog."""

_WRAPPED: dict[tuple[str, bytes], weakref.ref[Wrapping]] = {}
"""The same of wrapped data keys."""
_VERIFIED: deque[Wrapping] = deque(maxlen=4096)
"""Keeps these while no view does: the steps of a run look at the same catalog one after the other, and each range of
the log has a key."""

_LARGEST = 64 << 20
"""Bytes of a record that is still read; a set of ten thousand objects has about 4 MiB."""


@dataclass
class View:
    """One repository as it was read."""

    name: str
    reason: str = ""
    """Why it could not be looked at."""
    listed: dict[str, Listed] = field(default_factory=dict)
    wrapped: dict[str, dict[int, Wrapping]] = field(default_factory=dict)
    """Keys of wrapped data keys up to their generation, to the generations that a listed signer signed."""
    data_keys: set[str] = field(default_factory=set)
    """Keys of wrapped data keys up to their generation, in whatever form they lie here."""
    places: dict[str, str] = field(default_factory=dict)
    """Key of each believed record to its id."""
    records: dict[str, Believed] = field(default_factory=dict)
    """By id."""
    damage: list[Damage] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    """What was found to be other than remembered."""
    lacking: dict[str, list[tuple[str, Kind, str]]] = field(default_factory=dict)
    """What `lacks` said, by record."""

    def note(self, key: str, kind: Kind, detail: str, record: str | None = None) -> None:
        self.damage.append(Damage(repository=self.name, key=key, kind=kind, detail=detail, record=record))

    def holds(self, record: Record) -> bool:
        """Whether the record is here with all that it names."""
        return record.id in self.records and not self.lacks(record)

    def lacks(self, record: Record) -> list[tuple[str, Kind, str]]:
        """Key, kind and detail of every object of a record that is not there in its size."""
        if not isinstance(record, SetRecord | LogRecord):
            return []
        known = self.lacking.get(record.id)
        if known is None:
            known = self.lacking[record.id] = list(self._missing(record))
        return known

    def _missing(self, record: SetRecord | LogRecord) -> Iterator[tuple[str, Kind, str]]:
        for stored in record.objects:
            listed = self.listed.get(stored.key)
            if listed is None:
                yield stored.key, "missing-object", f"{stored.name} of {record.id} is not there"
            elif listed.size != stored.sealed_size:
                detail = f"{stored.name} of {record.id} has {listed.size} bytes instead of {stored.sealed_size}"
                yield stored.key, "wrong-size", detail
        first = keys.data_key_prefix(record.system, record.store, record.lineage, record.key)
        # One that nobody listed signed is told and counts: damage to it must not cost the data, and a forged one opens
        # nothing, because what is read with it is compared with the signed record.
        if first not in self.data_keys:
            yield first, "unreadable-keys", f"no wrapped data key of {record.id} is there"


class Looker:
    """Looks at repositories for one store. The same bytes are verified once, wherever they lie."""

    def __init__(self, system: str, store: str, signers: Signers, pool: ThreadPoolExecutor) -> None:
        self._system, self._store, self._signers, self._pool = system, store, signers, pool
        self.root = keys.store_root(system, store)
        self._trust = digest({name: [one] if isinstance(one, str) else list(one) for name, one in signers.items()})

    def listing(self, repository: Repository) -> dict[str, Listed] | AegisError:
        """A fresh listing of all that belongs to the store; it may be asked for in several threads."""
        try:
            return {listed.key: listed for listed in repository.listing(self.root)}
        except AegisError as error:
            return error

    def look(
        self,
        repository: Repository,
        listing: dict[str, Listed] | AegisError,
        remembered: Remembered,
        earlier: View | None = None,
    ) -> View:
        """A view from a listing. Bytes are taken from what is remembered, and records from an `earlier` view, where
        the listing says that the object is still the same."""
        view = View(repository.name)
        if isinstance(listing, AegisError):
            view.reason = str(listing)
            return view
        view.listed = listing
        try:
            for key, what in repository.tampered(self.root):
                view.note(key, "hidden-object", f"{what}; it is read as it was")
        except AegisError as error:
            view.reason = str(error)
            return view
        wanted: list[Listed] = []
        for key, listed in view.listed.items():
            room = key[len(self.root) :].split("/", 2)[1:2]
            if room == ["keys"] and (place := keys.generation(key)) is not None:
                view.data_keys.add(place[0])
            if room == ["records"] or room == ["keys"]:
                wanted.append(listed)
        if earlier is None:
            view.changes.gone = [key for key in remembered if key not in view.listed]
        else:
            view.changes = earlier.changes
        unread = [listed for listed in wanted if not self._again(view, listed, remembered, earlier)]
        for listed, answer in zip(unread, self._pool.map(lambda one: _read(repository, one), unread), strict=True):
            if isinstance(answer, AegisError):
                view.note(listed.key, "unreadable-keys" if _is_key(listed.key) else "unreadable-record", str(answer))
            elif self._take(view, listed, answer):
                view.changes.read.append((listed, answer))
            else:
                view.changes.gone.append(listed.key)
        return view

    def _again(self, view: View, listed: Listed, remembered: Remembered, earlier: View | None) -> bool:
        """Whether the record could be taken without reading it once more."""
        if earlier is not None and earlier.listed.get(listed.key) == listed and _is_key(listed.key):
            place = keys.generation(listed.key)
            form = earlier.wrapped.get(place[0], {}).get(place[1]) if place else None
            if place is not None and form is not None:
                view.wrapped.setdefault(place[0], {})[place[1]] = form
                return True
        if earlier is not None and listed.key in earlier.places and earlier.listed[listed.key] == listed:
            identity = earlier.places[listed.key]
            view.places[listed.key] = identity
            view.records[identity] = earlier.records[identity]
            return True
        known = remembered.get(listed.key)
        if known is None or known[0] != listed or not listed.tag or len(known[1]) != listed.size:
            return False
        try:
            self._put(view, listed, known[1])
        except (AegisError, _ElsewhereError):
            return False  # the memory is no witness against a repository: that is read
        return True

    def _take(self, view: View, listed: Listed, data: bytes) -> bool:
        try:
            self._put(view, listed, data)
        except AegisError as error:
            kind: Kind = "unreadable-keys" if _is_key(listed.key) else "unreadable-record"
            if error.code == "bad-signature":
                kind = "bad-signature"
            elif error.code == "unknown-signer":
                kind = "unknown-signer"
            view.note(listed.key, kind, str(error))
        except _ElsewhereError as error:
            view.note(listed.key, "misplaced", f"it was signed for another place: {error}")
        else:
            return True
        return False

    def _put(self, view: View, listed: Listed, data: bytes) -> None:
        if _is_key(listed.key):
            self._put_key(view, listed.key, data)
            return
        believed = self._verify(data)
        record = believed[0]
        right = keys.record(self._system, self._store, record.lineage, record.id)
        if listed.key != right or (record.system, record.store) != (self._system, self._store):
            raise _ElsewhereError(f"{right} of system {record.system}")
        view.places[listed.key] = record.id
        view.records[record.id] = believed

    def _put_key(self, view: View, key: str, data: bytes) -> None:
        mark = (self._trust, hashlib.sha256(data).digest())
        found = _WRAPPED.get(mark)
        form = found() if found is not None else None
        if form is None:
            form = wrapping(data, self._signers)
            _VERIFIED.append(form)
            _WRAPPED[mark] = weakref.ref(form, lambda _: _WRAPPED.pop(mark, None))
        place = keys.generation(key)
        if place is None or not rightly_named(key, form.name, form.generation):
            raise _ElsewhereError(f"data key {form.name}, generation {form.generation}")
        view.wrapped.setdefault(place[0], {})[place[1]] = form

    def _verify(self, data: bytes) -> Believed:
        mark = (self._trust, hashlib.sha256(data).digest())
        found = _ALIVE.get(mark)
        record = found[0]() if found is not None else None
        if found is not None and record is not None:
            return record, found[1]
        record, named = verify(data, self._signers)
        _ALIVE[mark] = (weakref.ref(record, lambda _: _ALIVE.pop(mark, None)), named)
        return record, named


class _ElsewhereError(Exception):
    """A signed object that is believed, and not here."""


def _is_key(key: str) -> bool:
    return key.rsplit("/", 2)[-2:-1] == ["keys"]


def _read(repository: Repository, listed: Listed) -> bytes | AegisError:
    if listed.size > _LARGEST:
        return AegisError("record-unreadable", "a record cannot be read", f"{listed.key} has {listed.size} bytes", "")
    try:
        return read(repository, listed.key)
    except AegisError as error:
        return error
