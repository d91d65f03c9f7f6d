"""Puts what a store gives away into its repositories: keys first, proofs, the signed record last. It reads no store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aegis_plan.actions.contract import Context
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.record import Record, StoredObject
from aegis_plan.documents.model import Sealing, Store
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.repositories import keys, records
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.heads import remember
from aegis_plan.repositories.sealed import hold
from aegis_plan.repositories.setwriter import Written
from aegis_plan.sealing.keys import DataKey, wrap
from aegis_plan.sealing.signatures import digest


def signing(context: Context) -> tuple[Sealing, bytes]:
    """What is needed to seal and sign. Raises AegisError `signing-key-missing`."""
    if context.keys.signing is None or context.declared.sealing is None:
        raise AegisError(
            "signing-key-missing",
            "this site cannot sign what it archives",
            f"site {context.attempt.site}",
            "name `signing_key` in the site file and `sealing` in the documents",
        )
    return context.declared.sealing, context.keys.signing


def _names(context: Context, store: Store) -> Iterator[str]:
    yield from store.backup.repositories if store.backup is not None else context.repositories


def reachable(context: Context, store: Store) -> dict[str, Repository]:
    """The store's repositories that can be built here; a finding for each other."""
    found: dict[str, Repository] = {}
    for name in _names(context, store):
        try:
            found[name] = context.repositories[name]
        except AegisError as error:
            missing(context, name, str(error))
        except KeyError:
            missing(context, name, "it is not declared for this attempt")
    return found


def missing(context: Context, repository: str, why: str) -> None:
    context.find(
        "warning",
        "copy-missing",
        "a repository did not take a copy",
        f"{repository}: {why}",
        "the next plan copies it from a sister",
    )


def shelf_of(context: Context, store: str) -> Shelf:
    sealing = context.declared.sealing
    declared = context.declared.stores[store]
    ready: dict[str, Repository | AegisError] = {}
    for name in _names(context, declared):
        try:
            ready[name] = context.repositories[name]
        except AegisError as error:
            ready[name] = error
        except KeyError:
            continue
    return records.shelf(
        context.declared.system.name, store, sealing.believed if sealing else {}, ready, cache=context.folder
    )


def put_key(
    context: Context, store: str, lineage: str, key: DataKey, ready: dict[str, Repository]
) -> dict[str, Repository]:
    """Puts the wrapped key into the repositories and gives those that took it. Raises UnavailableError
    `too-few-copies`, and as `signing` does."""
    sealing, private = signing(context)
    blob = wrap(key, sealing, context.attempt.site, private)
    place = keys.data_key(context.declared.system.name, store, lineage, key.name, 0)
    took, reasons = {}, []
    for name, repository in ready.items():
        context.check()
        try:
            repository.put(place, blob)
            took[name] = repository
        except AegisError as error:
            missing(context, name, str(error))
            reasons.append(f"{name}: {error}")
    _enough(took, 1, reasons)
    return took


def _enough(copies: Mapping[str, object] | tuple[str, ...], wanted: int, reasons: list[str]) -> None:
    if len(copies) < max(1, wanted):
        raise UnavailableError(
            "too-few-copies",
            "fewer repositories than required can take the backup",
            f"{len(copies)} of at least {max(1, wanted)}. {'; '.join(reasons)}",
            "repair a repository, or lower sealing.minimum_copies",
        )


def proved(
    context: Context, written: Written, ready: dict[str, Repository], wanted: int, key: DataKey
) -> dict[str, Repository]:
    """The repositories whose own words on every object agree with what was sent. In one of them every object is seen to
    be sealed, by its first and last bytes: sealed and sent is not yet sealed and there."""
    copies, reasons = {}, []
    for name in written.copies:
        why = next(filter(None, (_differs(ready[name], stored) for stored in written.objects)), "")
        if why:
            missing(context, name, why)
            reasons.append(f"{name}: {why}")
        else:
            copies[name] = ready[name]
    _enough(copies, wanted, reasons)
    folders = {name for name, one in context.declared.repositories.items() if one.kind == "local"}
    nearest = min(copies.values(), key=lambda one: one.name not in folders)
    hold(nearest, written.objects, [half for half in (key.data, key.meta) if half is not None])
    return copies


def _differs(repository: Repository, stored: StoredObject) -> str:
    try:
        head = repository.head(stored.key)
    except AegisError as error:
        return str(error)
    if head is None:
        return f"{stored.name} is not there"
    said = head.sha256 or head.claimed or stored.sealed_sha256
    if head.size != stored.sealed_size or said != stored.sealed_sha256:
        return f"{stored.name} is not as it was sent"
    if head.crc32 is not None and stored.sealed_crc32 is not None and head.crc32 != stored.sealed_crc32:
        return f"{stored.name} is not as it was sent"
    return ""


def write_record(
    context: Context, record: Record, signing_key: bytes, copies: dict[str, Repository], wanted: int
) -> tuple[str, ...]:
    """Writes the record where the objects are, and names those repositories. Raises UnavailableError
    `too-few-copies`."""
    wrote = records.write(record, context.attempt.site, signing_key, copies)
    for name, why in wrote.items():
        if why:
            missing(context, name, why)
    held = tuple(name for name, why in wrote.items() if not why)
    _enough(held, wanted, [f"{name}: {why}" for name, why in wrote.items() if why])
    try:
        # After the record, never before it: a memory of what was not written would be an alarm for nothing.
        remember(context.folder, record.store, record.lineage, record.aspect, digest(record))
    except OSError as error:
        context.find(
            "warning",
            "site-folder-unusable",
            "the site's folder cannot be used",
            f"{context.folder}: {error.strerror}; if this record is taken away, nobody here will notice",
            "see that the disk has room and is writable",
        )
    return held
