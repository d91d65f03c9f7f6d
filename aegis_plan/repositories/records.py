"""Signed records in repositories: writing them, and finding out what each repository holds of one store.

What it finds wrong it tells; it never repairs, and never believes a record without a listed signer's signature.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aegis_plan.catalog.ending import buried, endings
from aegis_plan.catalog.holding import Holding, Shelf, Wrapped
from aegis_plan.catalog.record import Record
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys, second
from aegis_plan.repositories.collecting import uncollected
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.recordcache import RecordCache
from aegis_plan.repositories.view import Looker, View
from aegis_plan.sealing.signatures import Signers, sign, verify

_PARALLEL = 8


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


def shelf(
    system: str,
    store: str,
    signers: Signers,
    repositories: Mapping[str, Repository | AegisError],
    *,
    cache: Path | None,
    remember: bool = True,
    seen: Mapping[str, tuple[str, ...]] = {},
) -> Shelf:
    """What the repositories say of one store, over all lineages. One given as an error counts as unreachable.

    `seen` is what this site knew before: `<lineage>/<aspect>` to digests of heads. `cache` is a folder that saves
    reading records again; what was read is written there only to `remember` it, and where the folder exists. Others
    may write meanwhile: what seems to be missing is believed only after a second look."""
    reachable = {name: found for name, found in repositories.items() if not isinstance(found, AegisError)}
    memory = RecordCache(cache) if cache is not None else None
    with (
        uncollected(),
        ThreadPoolExecutor(_PARALLEL, thread_name_prefix="shelf-read") as pool,
        ThreadPoolExecutor(_PARALLEL, thread_name_prefix="shelf") as beside,
    ):
        looker = Looker(system, store, signers, pool)

        def look(names: Iterable[str], earlier: Mapping[str, View]) -> dict[str, View]:
            # Beside each other they are only waited for: verifying takes the processor, and once for sister copies.
            listings = dict(zip(names, beside.map(lambda name: looker.listing(reachable[name]), names), strict=True))
            found = {}
            for name, listing in listings.items():
                remembered = memory.known(name, looker.root) if memory is not None and name not in earlier else {}
                found[name] = looker.look(reachable[name], listing, remembered, earlier.get(name))
            return found

        first = look(reachable, {})
        views, digests = dict(first), second.digests(first)
        again = second.doubtful(views, seen)
        if again:
            time.sleep(second.SETTLE)
            views.update(look(again, first))
            digests |= second.digests(views)
            second.leave_out_unsettled(first, views)
    if memory is not None and remember:
        memory.keep(looker.root, {name: view.changes for name, view in views.items()})
    for name, found in repositories.items():
        if isinstance(found, AegisError):
            views[name] = View(name, str(found))
    return _told(store, [views[name] for name in repositories], seen, digests)


def _told(store: str, views: list[View], seen: Mapping[str, tuple[str, ...]], digests: set[str]) -> Shelf:
    known = {identity: entry for view in views for identity, entry in view.records.items()}
    ended = endings([record for record, _ in known.values()])
    if not any(view.reason for view in views):
        _lost(views, known, digests | buried(record for record, _ in known.values()), seen)
    holdings = []
    for view in views:
        held = []
        for identity, (record, _) in sorted(view.records.items()):
            lacking = view.lacks(record)
            if not lacking:
                held.append(identity)
            elif identity not in ended:
                for key, kind, detail in lacking:
                    view.note(key, kind, detail, identity)
        holdings.append(
            Holding(
                repository=view.name,
                reachable=not view.reason,
                reason=view.reason,
                held=tuple(held),
                damage=tuple(view.damage),
                wrapped=_wrapped(view),
            )
        )
    return Shelf(
        store=store,
        records=tuple(known[identity][0] for identity in sorted(known)),
        holdings=tuple(holdings),
        heads=heads_of(known.values()),
    )


def _wrapped(view: View) -> tuple[Wrapped, ...]:
    """The data keys of a view by those who can open them."""
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], tuple[list[str], list[str]]] = {}
    for prefix, forms in sorted(view.wrapped.items()):
        lineage, _, name = prefix.split("/")[-3:]
        newest = forms[max(forms)]
        names, older = groups.setdefault((lineage, newest.data, newest.meta), ([], []))
        names.append(name[:-1])
        if len(forms) > 1:
            older.append(name[:-1])
    return tuple(
        Wrapped(lineage=lineage, data=data, meta=meta, keys=tuple(names), older=tuple(older))
        for (lineage, data, meta), (names, older) in sorted(groups.items())
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


def _lost(
    views: list[View],
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
            holder.note(key, "missing-record", detail, record.id)
    for place, heads in seen.items():
        for digest in heads:
            if digest not in digests and digest not in told and views:
                told.add(digest)
                views[0].note(place, "rolled-back", f"this site knew a record {digest[:12]} that nobody has any more")


def find(repository: Repository, record_key: str, signers: Signers) -> tuple[Record, str, bytes]:
    """One verified record, its digest and its bytes. Raises as `verify` and `Repository.get` do."""
    data = read(repository, record_key)
    record, digest = verify(data, signers)
    return record, digest, data
