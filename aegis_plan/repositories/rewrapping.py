"""Puts a new form of data keys, wrapped to today's recipients, in the place of the old ones, in every repository given.

No data is read or written anew. An old form goes only where the new one was read back there and opens for every key at
hand that it is meant for; whoever is interrupted leaves each data key with at least one form that is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aegis_plan.documents.model import Sealing
from aegis_plan.documents.recipients import recipients_of
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.repositories import keys as layout
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.datakeys import signed
from aegis_plan.sealing.keys import DataKey, Wrapping, public_identity, unwrap, wrap

Forms = dict[str, dict[int, str]]
"""What the forms of a data key begin with, to their generations and keys in one repository."""


@dataclass
class Rewrapping:
    """One store's lineage in work. `left` and `failed` say afterwards what was not done."""

    repositories: Mapping[str, Repository]
    sealing: Sealing
    site: str
    signing: bytes
    identities: Sequence[str]
    check: Callable[[], None] = lambda: None
    made: int = 0
    """Data keys that were wrapped anew."""
    removed: int = 0
    """Old forms that went."""
    failed: dict[str, AegisError] = field(default_factory=dict)
    """Data keys that keep an old form somewhere, and why."""
    left: dict[str, list[AegisError]] = field(default_factory=dict)
    """By repository: why old forms of data keys stay that were to be removed."""

    def __post_init__(self) -> None:
        self._wanted = recipients_of(self.sealing)
        ours = {public_identity(text): text for text in self.identities}
        self._meant = [text for public, text in ours.items() if public in self._wanted[1]]
        self._reads_all = any(public in self._wanted[0] for public in ours)

    def run(self, root: str, told: Callable[[int, int], None] = lambda done, total: None) -> None:
        """All data keys below `root` (`keys.lineage_root`). Raises what a repository raises that does not list."""
        forms = {name: forms_in(repository, root) for name, repository in self.repositories.items()}
        names = sorted({prefix for found in forms.values() for prefix in found})
        for number, prefix in enumerate(names):
            self.check()
            told(number, len(names))
            try:
                self._one(prefix, {name: found.get(prefix, {}) for name, found in forms.items()})
            except AegisError as error:
                self.failed[prefix.rpartition("/")[2][:-1]] = error

    def _one(self, prefix: str, forms: Mapping[str, dict[int, str]]) -> None:
        holders = {name: found for name, found in forms.items() if found}
        generation, form, blob = self._newest(prefix, holders)
        if (form.data, form.meta) != self._wanted:
            key = self._open(prefix, holders)
            generation += 1
            blob = wrap(key, self.sealing, self.site, self.signing, generation)
            self._opens(blob, key)
            self.made += 1
        else:
            self._opens(blob, None)
        place = f"{prefix}{generation:04d}.json"
        for name, found in holders.items():
            repository = self.repositories[name]
            self._put(repository, place, blob)
            for key_of_old in [key for key in found.values() if key != place]:
                self.check()
                try:
                    repository.delete(key_of_old)
                except AegisError as error:
                    if error.code not in ("object-locked", "repository-denied"):
                        raise
                    # All else can be done, and what stays is told.
                    self.left.setdefault(name, []).append(error)
                else:
                    self.removed += 1

    def _newest(self, prefix: str, forms: Mapping[str, dict[int, str]]) -> tuple[int, Wrapping, bytes]:
        """The newest form that a listed signer signed, over all repositories."""
        best: tuple[int, Wrapping, bytes] | None = None
        for name, found in forms.items():
            for generation in sorted(found, reverse=True):
                if best is not None and generation <= best[0]:
                    break
                one = signed(read(self.repositories[name], found[generation]), found[generation], self.sealing.believed)
                if one is not None:
                    best = (generation, *one)
                    break
        if best is None:
            raise DamageError(
                "key-missing",
                "no repository holds a readable wrapped data key",
                f"{prefix.rpartition('/')[2][:-1]}: no form of it is signed by a listed signer",
                "without it the set cannot be opened; look for the keys object in any other copy of the repository",
            )
        return best

    def _open(self, prefix: str, forms: Mapping[str, dict[int, str]]) -> DataKey:
        """Both halves, from whichever signed form gives them. Raises AegisError `no-key-opens`."""
        refused: AegisError | None = None
        for generation, name in sorted(((g, name) for name, found in forms.items() for g in found), reverse=True):
            place = forms[name][generation]
            blob = read(self.repositories[name], place)
            if signed(blob, place, self.sealing.believed) is None:
                continue
            try:
                key = unwrap(blob, self.identities, self.sealing.believed)
            except AegisError as error:
                refused = refused or error
                continue
            if key.data is not None and key.meta is not None:
                return key
        if refused is not None:
            raise refused
        raise AegisError(
            "no-key-opens",
            "none of the identities opens the backup",
            f"the key {prefix.rpartition('/')[2][:-1]} is sealed to an identity of this site for metadata only",
            "give the identity of a recipient, or the offline recovery key, with --identity FILE",
        )

    def _opens(self, blob: bytes, key: DataKey | None) -> None:
        """Holds that the new form opens for each identity at hand that it is meant for, before anything old goes."""
        for identity in self._meant:
            found = unwrap(blob, [identity], self.sealing.believed)
            if key is not None and (
                found.meta != key.meta or (found.data is not None and found.data != key.data) or found.meta is None
            ):
                raise DamageError(
                    "key-unreadable",
                    "a wrapped data key cannot be read",
                    f"the new form of {found.name} does not open to what was sealed",
                    "the old form was kept",
                )

    def _put(self, repository: Repository, place: str, blob: bytes) -> None:
        """Stores the form and reads it back. A form at its place that nobody listed signed makes way."""
        try:
            repository.put(place, blob)
        except DamageError as error:
            if error.code != "object-conflict" or signed(read(repository, place), place, self.sealing.believed):
                raise
            repository.delete(place)
            repository.put(place, blob)
        if read(repository, place) != blob:
            raise DamageError(
                "arrived-damaged",
                "what arrived in a repository is not what was sent",
                f"{repository.name}: {place} reads otherwise than it was written",
                "the old form was kept; see what that storage does with what it accepts",
            )


def forms_in(repository: Repository, root: str) -> Forms:
    """All forms of all data keys of a lineage in one repository. Raises what `listing` raises."""
    found: Forms = {}
    for listed in repository.listing(f"{root}keys/"):
        place = layout.generation(listed.key)
        if place is not None:
            found.setdefault(place[0], {})[place[1]] = listed.key
    return found


def done_already(repositories: Mapping[str, Repository], root: str, sealing: Sealing) -> str:
    """What is left to do, said in a few words; empty when each data key lies everywhere in one form for today's
    recipients. Raises what a repository raises."""
    wanted = recipients_of(sealing)
    for name, repository in repositories.items():
        for prefix, forms in forms_in(repository, root).items():
            short = prefix.rpartition("/")[2][:-1]
            if len(forms) > 1:
                return f"{name} has {len(forms)} forms of {short}"
            ((_, key),) = forms.items()
            found = signed(read(repository, key), key, sealing.believed)
            if found is None or (found[0].data, found[0].meta) != wanted:
                return f"{short} in {name} is not wrapped to the recipients of today"
    return ""
