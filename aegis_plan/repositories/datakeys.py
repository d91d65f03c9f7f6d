"""Finds the data key of a set in whichever repository gives it. A copy that no listed site signed is used only where no
signed one opens, and is always told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aegis_plan.errors import AegisError, DamageError
from aegis_plan.repositories import keys as layout
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.sealing.keys import DataKey, Wrapping, generation_of, unwrap, wrapping
from aegis_plan.sealing.signatures import Signers


def load_key(
    repositories: Mapping[str, Repository],
    prefix: str,
    identities: Sequence[str],
    signers: Signers,
    damage: Callable[[str, str], None] = lambda repository, key: None,
) -> DataKey:
    """The data key whose generations lie behind `prefix` (`keys.data_key_prefix`), the newest first.

    A copy of which only one half can be opened is completed from another. `damage` is told of copies that are not as
    they were signed, or gave less than another did. Raises AegisError `no-key-opens`, `identity-malformed`, or
    DamageError `key-missing` naming each repository's reason."""
    search = _Search(prefix, identities, signers)
    for label, repository in repositories.items():
        if search.whole:
            break
        search.look(label, repository)
    if not search.whole:
        search.doubtful_too()
    return search.found(damage)


def generations(repository: Repository, prefix: str) -> list[str]:
    """Keys of all generations of a data key in a repository, the newest first."""
    found = [(place[1], one.key) for one in repository.listing(prefix) if (place := layout.generation(one.key))]
    return [key for _, key in sorted(found, reverse=True)]


@dataclass(frozen=True)
class Newest:
    """The newest generation of a data key that a listed signer signed."""

    generation: int
    form: Wrapping
    blob: bytes


def newest(
    repositories: Mapping[str, Repository],
    prefix: str,
    signers: Signers,
    unseen: Callable[[str, AegisError], None] = lambda name, error: None,
) -> Newest | None:
    """The newest signed generation over all repositories given; `unseen` is told of those that did not answer."""
    best: Newest | None = None
    for name, repository in repositories.items():
        try:
            for key in generations(repository, prefix):
                place = layout.generation(key)
                if place is None or (best is not None and place[1] <= best.generation):
                    break
                found = signed(read(repository, key), key, signers)
                if found is not None:
                    best = Newest(place[1], *found)
                    break
        except AegisError as error:
            unseen(name, error)
    return best


def signed(blob: bytes, key: str, signers: Signers) -> tuple[Wrapping, bytes] | None:
    """What the object at `key` says, where a listed signer signed it for this place."""
    try:
        form = wrapping(blob, signers)
    except AegisError:
        return None
    return (form, blob) if rightly_named(key, form.name, form.generation) else None


def rightly_named(key: str, name: str, generation: int | None) -> bool:
    """Whether a wrapped data key that says this of itself belongs at `key`."""
    place = layout.generation(key)
    return place is not None and place[0].rpartition("/")[2] == f"{name}." and generation in (None, place[1])


class _Search:
    """One key being looked for."""

    def __init__(self, prefix: str, identities: Sequence[str], signers: Signers) -> None:
        self._name = prefix.rpartition("/")[2].removesuffix(".")
        self._prefix, self._identities, self._signers = prefix, identities, signers
        self._reasons: list[str] = []
        self._refused: AegisError | None = None
        self._gave: list[tuple[str, str, DataKey]] = []
        self._doubtful: list[tuple[str, str, bytes]] = []

    @property
    def whole(self) -> bool:
        return any(one.data and one.meta for _, _, one in self._gave)

    def look(self, label: str, repository: Repository) -> None:
        try:
            listed = generations(repository, self._prefix)
        except AegisError as error:
            self._reasons.append(f"{label}: {error}")
            return
        if not listed:
            self._reasons.append(f"{label}: has none")
        for key in listed:
            try:
                blob = read(repository, key)
            except AegisError as error:
                self._reasons.append(f"{label}: {error}")
                continue
            opened = self._open(label, key, blob, self._signers)
            if opened is not None and opened.data and opened.meta:
                return

    def doubtful_too(self) -> None:
        """Tries copies whose signature is wrong. That is safe: what is read with a key is compared with its signed
        record, so that a key of somebody else's opens nothing; and a damaged copy may be all that is left."""
        for label, key, blob in tuple(self._doubtful):
            self._open(label, key, blob, None)

    def _open(self, label: str, key: str, blob: bytes, signers: Signers | None) -> DataKey | None:
        try:
            opened = unwrap(blob, self._identities, signers)
        except AegisError as error:
            if error.code == "identity-malformed":
                raise
            if error.code == "no-key-opens":
                self._refused = error
                self._gave.append((label, key, DataKey(self._name, None, None)))
            if isinstance(error, DamageError) and signers is not None:
                self._doubtful.append((label, key, blob))
            self._reasons.append(f"{label}: {error}")
            return None
        if not rightly_named(key, opened.name, generation_of(blob)):
            self._reasons.append(f"{label}: {key} holds another key")
            if signers is not None:
                self._doubtful.append((label, key, blob))
            return None
        self._gave.append((label, key, opened))
        return opened

    def found(self, damage: Callable[[str, str], None]) -> DataKey:
        data = next((one.data for _, _, one in self._gave if one.data), None)
        meta = next((one.meta for _, _, one in self._gave if one.meta), None)
        if data is None and meta is None:
            if self._refused is not None:
                raise self._refused
            raise DamageError(
                "key-missing",
                "no repository holds a readable wrapped data key",
                f"{self._name}: {'; '.join(self._reasons)}",
                "without it the set cannot be opened; look for the keys object in any other copy of the repository",
            )
        told = dict.fromkeys((label, key) for label, key, _ in self._doubtful)
        for label, key, one in self._gave:
            # A newer generation may be sealed to others; the same one has to give the same everywhere.
            others = [other for _, same, other in self._gave if same == key]
            if any((other.data and not one.data) or (other.meta and not one.meta) for other in others):
                told[label, key] = None
        for label, key in told:
            damage(label, key)
        return DataKey(self._name, data, meta)
