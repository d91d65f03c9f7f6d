"""What every kind of storage has to be able to do. Keys are relative, `/`-separated; a repository knows nothing of
sets, seals or stores.

Objects are immutable: creation is conditional and an existing key is never overwritten. The one exception is
`compare_and_set`, for leases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from aegis_plan.errors import AegisError

Proof = Literal["full", "service", "size"]
"""How a stored object was proved: its whole digest compared, by the service's own checksum, or by size alone."""


@dataclass(frozen=True)
class Head:
    """What a repository says of one object without its bytes."""

    key: str
    size: int
    proof: Proof
    sha256: str | None = None
    """Hex digest of the whole object, where the repository vouches for it."""
    crc32: str | None = None
    """CRC-32 of the whole object, eight hex digits, as the service computed it."""
    tag: str = ""
    """Version mark for `compare_and_set`."""
    modified: datetime | None = None
    """When it came to be, by the storage's own clock, where that is told."""
    claimed: str | None = None
    """Hex digest that its writer stored beside the object, where the service computed none: it says which bytes were
    meant, and proves nothing."""


class Listed(NamedTuple):
    """One line of a listing. A tuple, because a listing may have hundreds of thousands."""

    key: str
    size: int
    tag: str = ""
    """The storage's own version mark of the object: other bytes under the key have another one. Empty where the storage
    gives none, so that nothing may be concluded from it."""


class Upload(Protocol):
    """One object on its way. Nothing is visible under its key before `commit` returns."""

    def write(self, part: bytes) -> None:
        """Takes the next bytes, of any length; may block while the storage is slow; retries a part by itself.

        Raises UnavailableError when the storage stays away."""

    def commit(self, sha256: str) -> Head:
        """Makes the object visible under its key and proves size and digest.

        `sha256` is the hex digest of all bytes written. When the key exists with the same digest that is success.
        Raises DamageError `object-conflict` when the key exists with other bytes, and DamageError when what arrived
        differs from what was sent."""

    def abort(self) -> None:
        """Forgets the object; never raises; harmless after `commit`."""


class Repository(Protocol):
    """One place that holds copies. Methods are safe to call from several threads.

    Errors: UnavailableError when it cannot be reached or refuses for now, AegisError `repository-denied` when the
    credentials do not allow it, AegisError `object-missing` for a key that is not there.
    """

    name: str

    def open(self, key: str) -> Upload:
        """Begins an object of unknown length."""

    def put(self, key: str, data: bytes) -> Head:
        """A small object in one go; the same conditions as `open`, `write`, `commit`."""

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from `offset`, `length` of them or all, in pieces. A short answer raises UnavailableError."""

    def head(self, key: str) -> Head | None:
        """What is known of the object, or None when there is none."""

    def listing(self, prefix: str) -> Iterator[Listed]:
        """All visible objects whose key begins with `prefix`, in the order of keys."""

    def folders(self, prefix: str) -> tuple[str, ...]:
        """The names between `prefix`, which ends with a slash, and the next one, each once and in order: which stores
        or days there are, without a listing of all that they hold. To look around with: a service may go on naming
        what became empty."""

    def delete(self, key: str) -> None:
        """Removes the object; success when it is not there."""

    def compare_and_set(self, key: str, expected: str | None, data: bytes) -> str:
        """Writes `data` if the object's tag is `expected` (None: if it does not exist) and returns the new tag.

        Raises LockedError `lease-moved` when it is not. After a lost reply, read it back: finding your own bytes
        there is success."""

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """The bytes and the tag of a `compare_and_set` object, or None."""

    def sweep(self, prefix: str, older_than_seconds: float) -> list[str]:
        """Removes unfinished uploads below `prefix` that old, and names them: what a killed process left.

        Their age counts from the last part that came, so that one that still runs is never taken for one that does
        not. Objects that are complete and that no record names are another matter: see `leftover.py`."""

    def keep(self, key: str, until: datetime) -> None:
        """Holds that nobody removes the object before that moment; success where it is held longer already.

        Raises AegisError `object-lock-unavailable` where the storage cannot, or is not declared to."""

    def tampered(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Key, and what is wrong, of objects below `prefix` that somebody hid or put others over, where the storage
        keeps versions and is declared to lock them. They are read as they were."""

    def writer_may_delete(self, key: str) -> bool | None:
        """Whether the identity that writes can remove the object, by trying; None where no other is declared to.

        For checks alone: where it can, the object is gone."""

    def close(self) -> None:
        """Ends connections."""


def cannot_lock(name: str) -> AegisError:
    """The error of `keep` where there are no locks."""
    return AegisError(
        "object-lock-unavailable",
        "a repository cannot lock objects",
        f"{name} is not declared with object_lock",
        "declare `object_lock: {mode: governance}` for a bucket that was made with it",
    )


def read(repository: Repository, key: str) -> bytes:
    """The whole of a small object."""
    return b"".join(repository.get(key))
