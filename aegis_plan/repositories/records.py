"""Signed records in repositories: writing them, and finding out what each repository holds of one store.

What it finds wrong it tells; it never repairs, and never believes a record without a listed signer's signature.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aegis_plan.catalog.holding import Damage, Holding, Shelf
from aegis_plan.catalog.record import LogRecord, Record, SetRecord, TombstoneRecord
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.sealing.signatures import Signers, sign, verify

_PARALLEL = 8
_LARGEST = 64 << 20
"""Bytes of a record that is still read; a set of ten thousand objects has about 4 MiB."""


def write(
    record: Record, site: str, signing_key: bytes, repositories: Mapping[str, Repository]
) -> dict[str, str | None]:
    """Signs the record and puts it into the repositories given, which must hold every object it names.

    Returns for each None, or why it was not written."""
    data, _ = sign(record, site, signing_key)
    key = keys.record(record.system, record.store, record.lineage, record.id)
    outcome: dict[str, str | None] = {}
    for name, repository in repositories.items():
        try:
            repository.put(key, data)
            outcome[name] = None
        except AegisError as error:
            outcome[name] = str(error)
    return outcome


@dataclass
class _Seen:
    """One repository as it was read."""

    name: str
    reason: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    records: dict[str, tuple[Record, str]] = field(default_factory=dict)
    """By id: the record and its digest."""
    damage: list[Damage] = field(default_factory=list)


def shelf(
    system: str,
    store: str,
    signers: Signers,
    repositories: Mapping[str, Repository | AegisError],
    *,
    cache: Path | None,
    seen: Mapping[str, tuple[str, ...]] = {},
) -> Shelf:
    """What the repositories say of one store, over all lineages. One given as an error counts as unreachable.

    `seen` is what this site knew before: `<lineage>/<aspect>` to digests of heads. `cache` saves reading records again;
    it is written only where the folder exists and may be written to."""
    reachable = {name: found for name, found in repositories.items() if not isinstance(found, AegisError)}
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="shelf") as pool:
        views = {name: _look(name, found, system, store, signers, cache, pool) for name, found in reachable.items()}
    for name, found in repositories.items():
        if isinstance(found, AegisError):
            views[name] = _Seen(name, str(found))
    ordered = [views[name] for name in repositories]
    known = {identity: entry for view in ordered for identity, entry in view.records.items()}
    ended = {record.target for record, _ in known.values() if isinstance(record, TombstoneRecord)}
    digests = {digest for _, digest in known.values()}
    if not any(view.reason for view in ordered):
        _lost(ordered, known, digests, seen)
    holdings = []
    for view in ordered:
        held = tuple(sorted(i for i, (record, _) in view.records.items() if _whole(view, record, ended)))
        holdings.append(
            Holding(
                repository=view.name,
                reachable=not view.reason,
                reason=view.reason,
                held=held,
                damage=tuple(view.damage),
            )
        )
    return Shelf(
        store=store,
        records=tuple(known[identity][0] for identity in sorted(known)),
        holdings=tuple(holdings),
        heads=heads_of(known.values()),
    )


def heads_of(entries: Iterable[tuple[Record, str]]) -> dict[str, tuple[str, ...]]:
    """`<lineage>/<aspect>` to the digests that no record names; `entries` are pairs of record and digest."""
    named: set[str] = set()
    found: dict[str, list[str]] = {}
    pairs = list(entries)
    for record, _ in pairs:
        named.update(record.previous)
    for record, digest in pairs:
        if digest not in named:
            found.setdefault(f"{record.lineage}/{record.aspect}", []).append(digest)
    return {place: tuple(sorted(digests)) for place, digests in sorted(found.items())}


def _look(
    name: str,
    repository: Repository,
    system: str,
    store: str,
    signers: Signers,
    cache: Path | None,
    pool: ThreadPoolExecutor,
) -> _Seen:
    view = _Seen(name)
    root = keys.store_root(system, store)
    try:
        view.sizes = {listed.key: listed.size for listed in repository.listing(root)}
    except AegisError as error:
        view.reason = str(error)
        return view
    wanted = [key for key in view.sizes if key.removeprefix(root).split("/")[1:2] == ["records"]]
    answers = pool.map(lambda key: _read(repository, key, view.sizes[key], cache), wanted)
    for key, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, AegisError):
            _note(view, key, "unreadable-record", str(answer))
            continue
        try:
            record, digest = verify(answer, signers)
        except AegisError as error:
            kind: Literal["bad-signature", "unknown-signer", "unreadable-record"] = "unreadable-record"
            if error.code == "bad-signature":
                kind = "bad-signature"
            elif error.code == "unknown-signer":
                kind = "unknown-signer"
            _note(view, key, kind, str(error))
            continue
        if key != keys.record(system, store, record.lineage, record.id) or (record.system, record.store) != (
            system,
            store,
        ):
            _note(view, key, "bad-signature", "a signed record of another place was put here", record.id)
            continue
        view.records[record.id] = (record, digest)
    return view


def _read(repository: Repository, key: str, size: int, cache: Path | None) -> bytes | AegisError:
    place = cache / hashlib.sha256(f"{repository.name}\0{key}\0{size}".encode()).hexdigest() if cache else None
    if place is not None:
        with contextlib.suppress(OSError):
            data = place.read_bytes()
            if len(data) == size:
                return data
    if size > _LARGEST:
        return AegisError("record-unreadable", "a record cannot be read", f"{key} has {size} bytes", "")
    try:
        data = read(repository, key)
    except AegisError as error:
        return error
    if place is not None:
        with contextlib.suppress(OSError):
            beside = place.with_suffix(f".{os.getpid()}.new")
            beside.write_bytes(data)
            os.replace(beside, place)
    return data


def _whole(view: _Seen, record: Record, ended: set[str]) -> bool:
    """Whether every object is there in its size; notes what is not, unless a tombstone says that it may be gone."""
    if not isinstance(record, SetRecord | LogRecord):
        return True
    whole = True
    noting = record.id not in ended
    for stored in record.objects:
        size = view.sizes.get(stored.key)
        if size == stored.sealed_size:
            continue
        whole = False
        if noting and size is None:
            _note(view, stored.key, "missing-object", f"{stored.name} of {record.id} is not there", record.id)
        elif noting:
            detail = f"{stored.name} of {record.id} has {size} bytes instead of {stored.sealed_size}"
            _note(view, stored.key, "wrong-size", detail, record.id)
    first = keys.data_key(record.system, record.store, record.lineage, record.key, 0).removesuffix("0000.json")
    if not any(key.startswith(first) for key in view.sizes):
        whole = False
        if noting:
            _note(view, first, "unreadable-keys", f"no wrapped data key of {record.id} is there", record.id)
    return whole


def _lost(
    views: list[_Seen],
    known: Mapping[str, tuple[Record, str]],
    digests: set[str],
    seen: Mapping[str, tuple[str, ...]],
) -> None:
    """Notes digests that a record or this site knows and nobody has. Only asked when every repository answered."""
    told: set[str] = set()
    for record, _ in known.values():
        for digest in record.previous:
            if digest in digests or digest in told:
                continue
            told.add(digest)
            holder = next(view for view in views if record.id in view.records)
            key = keys.record(record.system, record.store, record.lineage, "")
            detail = f"{record.id} names a record {digest[:12]} that no repository has or that cannot be verified"
            _note(holder, key, "missing-record", detail, record.id)
    for place, heads in seen.items():
        for digest in heads:
            if digest not in digests and digest not in told and views:
                told.add(digest)
                _note(views[0], place, "rolled-back", f"this site knew a record {digest[:12]} that nobody has any more")


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
]


def _note(view: _Seen, key: str, kind: Kind, detail: str, record: str | None = None) -> None:
    view.damage.append(Damage(repository=view.name, key=key, kind=kind, detail=detail, record=record))


def find(repository: Repository, record_key: str, signers: Signers) -> tuple[Record, str, bytes]:
    """One verified record, its digest and its bytes. Raises as `verify` and `Repository.get` do."""
    data = read(repository, record_key)
    record, digest = verify(data, signers)
    return record, digest, data
