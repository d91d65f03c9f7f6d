"""Copies of sets between repositories, made and removed without any key: ciphertext, wrapped keys and signed record.

The order makes the rule hold that a record stands only where its set is whole: written last, removed first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from aegis_plan.catalog.record import LogRecord, Record, SetRecord, StoredObject
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.datakeys import newest
from aegis_plan.sealing.canonical import digest as digest_of
from aegis_plan.sealing.canonical import parse
from aegis_plan.sealing.signatures import Signers, disclose


def copy(
    record: Record,
    source: Repository,
    target: Repository,
    *,
    signers: Signers,
    digest: str | None = None,
    sisters: Mapping[str, Repository] = MappingProxyType({}),
    stop: Callable[[], None] = lambda: None,
    progress: Callable[[int], None] = lambda _done: None,
) -> int:
    """Brings what `record` names from `source` to `target`, every byte compared with the record; returns the bytes.

    Objects that are there already are kept, but for those that are surely damaged: an object whose bytes are not the
    signed record's, a record or wrapped key that none of `signers` signed. These are removed once the source's copy
    was read and found right, and made anew. Of the wrapped key only the newest form goes, looked for in the `sisters`
    too: a source that was away while keys were changed must not bring an old form back. Raises DamageError
    `object-damaged` when the source's bytes are not those of the record, and DamageError `wrong-digest` when its record
    is not the one meant."""
    record_key = keys.record(record.system, record.store, record.lineage, record.id)
    data = read(source, record_key)
    if digest is not None and record_digest(data) != digest:
        raise DamageError(
            "wrong-digest",
            "a record is not the one that was planned for",
            f"{source.name}: {record_key} has another digest than {digest[:12]}",
            "make a new plan",
        )
    done = 0
    if isinstance(record, SetRecord | LogRecord):
        for stored in record.objects:
            if not _there(stored, target):
                _heal(stored, source, target, stop, partial(_further, progress, done))
            done += stored.sealed_size
            progress(done)
        stop()
        _bring_key(record, source, target, sisters, signers)
    _put(target, record_key, data, "record", signers)
    return done


def _bring_key(
    record: SetRecord | LogRecord,
    source: Repository,
    target: Repository,
    sisters: Mapping[str, Repository],
    signers: Signers,
) -> None:
    prefix = keys.data_key_prefix(record.system, record.store, record.lineage, record.key)
    everywhere = {one.name: one for one in (*sisters.values(), source, target)}
    found = newest(everywhere, prefix, signers)
    if found is not None:
        _put(target, f"{prefix}{found.generation:04d}.json", found.blob, "key", signers)
        return
    for key in wrapped_keys(record, source):  # nobody listed signed any: it may be all that is left
        _put(target, key, read(source, key), "key", signers)


def _heal(
    stored: StoredObject,
    source: Repository,
    target: Repository,
    stop: Callable[[], None],
    progress: Callable[[int], None],
) -> None:
    try:
        transfer(stored, source, target, stop, progress)
    except DamageError as error:
        # The source's bytes were read to the end and are the record's by now: what lies at the target is not.
        if error.code != "object-conflict":
            raise
        target.delete(stored.key)
        transfer(stored, source, target, stop, progress)


def _put(target: Repository, key: str, data: bytes, part: str, signers: Signers) -> None:
    try:
        target.put(key, data)
    except DamageError as error:
        if (
            error.code != "object-conflict"
            or not _signed(data, part, signers)
            or _signed(read(target, key), part, signers)
        ):
            raise
        target.delete(key)
        target.put(key, data)


def _signed(data: bytes, part: str, signers: Signers) -> bool:
    try:
        disclose(data, part, signers)
    except AegisError:
        return False
    return True


def _further(progress: Callable[[int], None], before: int, size: int) -> None:
    progress(before + size)


def _there(stored: StoredObject, target: Repository) -> bool:
    """Whether an earlier attempt brought the object already; one of which nothing is known is sent again and compared.

    What its writer claims is enough to spare the sending: whoever relies on the copy reads it."""
    head = target.head(stored.key)
    if head is None or head.size != stored.sealed_size:
        return False
    if head.claimed is not None and head.sha256 is None:
        return head.claimed == stored.sealed_sha256
    return head.sha256 == stored.sealed_sha256 or (head.crc32 is not None and head.crc32 == stored.sealed_crc32)


def transfer(
    stored: StoredObject,
    source: Repository,
    target: Repository,
    stop: Callable[[], None] = lambda: None,
    progress: Callable[[int], None] = lambda _done: None,
) -> None:
    """One object, every byte compared with what is named of it. Raises as `copy`."""
    upload = target.open(stored.key)
    found, size = hashlib.sha256(), 0
    try:
        for piece in source.get(stored.key):
            stop()
            found.update(piece)
            size += len(piece)
            upload.write(piece)
            progress(size)
        if size != stored.sealed_size or found.hexdigest() != stored.sealed_sha256:
            raise DamageError(
                "object-damaged",
                "an object is not what its record names",
                f"{source.name}: {stored.key} has {size} bytes of {stored.sealed_size} or another digest",
                "copy from another repository that holds the set",
            )
        upload.commit(stored.sealed_sha256)
    finally:
        upload.abort()


def wrapped_keys(record: SetRecord | LogRecord, repository: Repository) -> list[str]:
    """Keys of all generations of the record's data key in that repository."""
    prefix = keys.data_key_prefix(record.system, record.store, record.lineage, record.key)
    return [listed.key for listed in repository.listing(prefix)]


def record_digest(data: bytes) -> str:
    """Digest of the record in an object's bytes, without believing it. Raises DamageError `record-unreadable`."""
    try:
        return digest_of(parse(data)["record"])
    except (ValueError, KeyError, TypeError):
        raise DamageError(
            "record-unreadable", "a record cannot be read", "it is not the JSON form of a record", "use another copy"
        ) from None


def prove(record: SetRecord | LogRecord, repository: Repository, digest: str) -> list[str]:
    """What keeps a repository from counting as a holder of the record: empty when all is proved by digest or by the
    service's own checksum. Where a head gives only a size, the bytes are read."""
    problems: list[str] = []
    record_key = keys.record(record.system, record.store, record.lineage, record.id)
    try:
        if record_digest(read(repository, record_key)) != digest:
            problems.append("its record has another digest")
        if not wrapped_keys(record, repository):
            problems.append("no wrapped data key is there")
        for stored in record.objects:
            head = repository.head(stored.key)
            if head is None:
                problems.append(f"{stored.name} is missing")
            elif head.size != stored.sealed_size:
                problems.append(f"{stored.name} has {head.size} bytes instead of {stored.sealed_size}")
            elif head.crc32 is not None and stored.sealed_crc32 is not None and head.sha256 is None:
                if head.crc32 != stored.sealed_crc32:
                    problems.append(f"{stored.name} has another checksum")
            elif head.proof == "size" or head.sha256 is None:
                if _digest(repository, stored.key) != stored.sealed_sha256:
                    problems.append(f"{stored.name} has another digest")
            elif head.sha256 != stored.sealed_sha256:
                problems.append(f"{stored.name} has another digest")
    except AegisError as error:
        problems.append(str(error))
    return problems


def _digest(repository: Repository, key: str) -> str:
    found = hashlib.sha256()
    for piece in repository.get(key):
        found.update(piece)
    return found.hexdigest()


def proved_in(
    record: SetRecord | LogRecord,
    digest: str,
    others: Mapping[str, Repository],
    copies: int,
    stop: Callable[[], None] = lambda: None,
) -> tuple[str, ...]:
    """Those of `others` that surely hold the record, at least `copies` of them.

    Raises AegisError `copies-not-proved` with what each lacks."""
    proved, problems = [], []
    for name, other in others.items():
        stop()
        found = prove(record, other, digest)
        if found:
            problems.append(f"{name}: {', '.join(found)}")
        else:
            proved.append(name)
    if len(proved) < max(1, copies):
        raise AegisError(
            "copies-not-proved",
            "a copy is not removed because too few others are proved",
            f"{record.id}: {len(proved)} of {max(1, copies)} proved. {'; '.join(problems)}",
            "bring the missing copies back with `aegis plan`; nothing was removed",
        )
    return tuple(proved)


def apart(system: str, mark: str, repository: Repository, others: Mapping[str, Repository]) -> None:
    """Holds that none of `others` is the storage of `repository` under another name: then what is removed here would
    be gone there. Raises AegisError `copies-not-apart`."""
    key = keys.same_storage(system, mark)
    repository.put(key, mark.encode())
    try:
        same = sorted(name for name, other in others.items() if other.head(key) is not None)
    finally:
        repository.delete(key)
    if same:
        raise AegisError(
            "copies-not-apart",
            "two repositories are one storage",
            f"what is written to {repository.name} shows up in {', '.join(same)}",
            "give each repository a storage of its own: there is only one copy; nothing was removed",
        )


def remove(record: SetRecord | LogRecord, repository: Repository) -> None:
    """Removes one repository's copy, once `proved_in` said that others hold it.

    The record goes first, then the objects it names, and a data key that is only the set's; nothing else is touched."""
    repository.delete(keys.record(record.system, record.store, record.lineage, record.id))
    for stored in record.objects:
        repository.delete(stored.key)
    if isinstance(record, SetRecord) and record.key == record.set:
        for key in wrapped_keys(record, repository):
            repository.delete(key)
