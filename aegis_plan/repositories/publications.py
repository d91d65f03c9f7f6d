"""Publications of the documents in repositories: which are there, and which of them are believed. Each is signed and
names its predecessor; where a bucket's own word is all there is, nothing is believed.

`find` is the look, `documents` opens what was found. Writing is `actions/publish.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from aegis_plan.catalog.holding import Damage
from aegis_plan.catalog.publication import FORMAT, Laid, Publication
from aegis_plan.documents.bundle import unpack
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Listed, Repository, read
from aegis_plan.sealing.canonical import digest as digest_of
from aegis_plan.sealing.canonical import parse
from aegis_plan.sealing.letters import unseal
from aegis_plan.sealing.signatures import disclose, enclose
from aegis_plan.sealing.vouchers import endorsed

PART = "publication"
_LARGEST = 16 << 20


@dataclass(frozen=True)
class Found:
    """One publication that is believed."""

    publication: Publication
    digest: str
    data: bytes = field(repr=False)
    """The bytes of its object."""
    holders: tuple[str, ...]
    """Repositories that hold it with its documents."""


@dataclass(frozen=True)
class Published:
    """What repositories say of the publications of one system."""

    newest: Found | None = None
    damage: tuple[Damage, ...] = ()
    unseen: dict[str, str] = field(default_factory=dict)
    """Repositories that could not be looked at, with the reason."""
    strangers: tuple[Publication, ...] = ()
    """Publications that nobody who is trusted signed, newest first; not believed, only shown."""
    behind: tuple[str, ...] = ()
    """Repositories that were looked at and do not hold the newest."""
    last: int = 0
    """The highest number that is there, believed or not: the next publication comes after it."""


def find(
    system: str,
    repositories: Mapping[str, Repository | AegisError],
    trusted: Iterable[str],
    *,
    former: Iterable[str] = (),
    seen: Sequence[str] = (),
    thorough: bool = False,
) -> Published:
    """The newest publication that is believed: signed with a key in `trusted` (`ed25519:...`), or following such a
    one, signed each by who may publish after the one before. `former` keys count while nobody in `trusted` has
    published yet. `seen` are digests that this site knows.

    `thorough` reads all of them, for who trusts keys that may have been replaced since: a key that a believed
    publication no longer lists signs none after it. Never raises for what cannot be reached or is wrong: that is part
    of the answer."""
    return _Look(system, repositories).found(tuple(trusted), tuple(former), seen, thorough)


HEAD = "documents"
"""How the newest publication is kept among the heads that a site remembers, as if it were a lineage."""


def seen_by(heads: Mapping[str, Mapping[str, tuple[str, ...]]]) -> tuple[str, ...]:
    """The publications that a site remembers, from what `heads.recall` gives."""
    return tuple(heads.get(keys.SYSTEM_ROOM, {}).get(f"{HEAD}/data", ()))


def offered(system: str, repositories: Mapping[str, Repository | AegisError]) -> list[Publication]:
    """Every publication that lies there, believed or not, newest first: to read from them who vouches for whom."""
    return _Look(system, repositories).all()


def documents(found: Found, repositories: Mapping[str, Repository | AegisError], identities: Sequence[str]) -> Contents:
    """The published files, from any repository that gives them whole.

    Raises AegisError `key-opens-not`, UnavailableError, and DamageError `publication-damaged`."""
    laid = found.publication.documents
    data = laid_bytes(laid, {name: repositories[name] for name in found.holders if name in repositories})
    readers = found.publication.protection.get("sealed_to", ())
    packed = unpack(unseal(data, identities, f"the documents of publication {found.publication.number}", readers))
    about = parse(packed.pop("about.json", b"{}"))
    files = {name.partition("/")[2]: data for name, data in packed.items() if name.startswith("documents/")}
    return Contents(files, dict(about.get("variables", {})), tuple(about.get("durations", ())), packed)


@dataclass(frozen=True)
class Contents:
    """What is sealed in a publication."""

    files: dict[str, bytes]
    """The documents as they were, by path."""
    variables: dict[str, str]
    """The values that they are read with."""
    durations: tuple[dict[str, Any], ...]
    """How long steps took, for forecasts."""
    others: dict[str, bytes]
    """All entries but `about.json`, such as the runbook."""


def laid_bytes(laid: Laid, repositories: Mapping[str, Repository | AegisError]) -> bytes:
    """The bytes of an object that a believed publication names. Raises DamageError `publication-damaged`, or what the
    last repository raised."""
    last: AegisError | None = None
    for name, repository in repositories.items():
        if isinstance(repository, AegisError):
            last = last or repository
            continue
        try:
            data = read(repository, laid.key)
        except AegisError as error:
            last = error
            continue
        if hashlib.sha256(data).hexdigest() == laid.sha256:
            return data
        last = DamageError(
            "publication-damaged",
            "what a publication names is not what was published",
            f"{name}: {laid.key} has another digest",
            "another repository may hold it whole; find out who can write to that one",
        )
    raise last or DamageError(
        "publication-damaged",
        "what a publication names is not what was published",
        f"no repository holds {laid.key}",
        "another repository may hold it whole",
    )


def sign(publication: Publication, key: bytes) -> bytes:
    """The bytes of its object; `key` is the private key of the site."""
    return enclose(publication.model_dump(mode="json"), PART, publication.site, key)


def peek(data: bytes) -> Publication:
    """What an object says, without believing it. Raises DamageError `record-unreadable`, AegisError
    `format-too-new`."""
    try:
        body = parse(data)[PART]
        oldest = body.get("oldest_reader")
        if isinstance(oldest, int) and oldest > FORMAT:
            raise AegisError(
                "format-too-new",
                "written by a newer version than this one can read",
                f"a publication needs a reader of format {oldest}, and this one reads up to {FORMAT}",
                "use a newer version of aegis; the repository holds a copy of the one that wrote it",
            )
        if isinstance(body.get("format"), int) and body["format"] > FORMAT:
            body = {name: value for name, value in body.items() if name in Publication.model_fields}
        return Publication.model_validate(body)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise DamageError(
            "record-unreadable",
            "a record cannot be read",
            f"no publication: {type(error).__name__}",
            "use another copy",
        ) from None


def digest(data: bytes) -> str:
    """How others name the publication whose object this is, as it was written: a newer writer may have more fields."""
    return digest_of(parse(data)[PART])


def signed_by(data: bytes, trusted: Sequence[str]) -> bool:
    """Whether one of the keys signed it, under whatever name."""
    try:
        disclose(data, PART, {str(parse(data)["signer"]): tuple(trusted)})
    except (AegisError, ValueError, KeyError, TypeError):
        return False
    return True


class _Look:
    """One look at the publications of a system."""

    def __init__(self, system: str, repositories: Mapping[str, Repository | AegisError]) -> None:
        self._system = system
        self._open: dict[str, Repository] = {}
        self._listed: dict[str, dict[str, Listed]] = {}
        self._unseen: dict[str, str] = {}
        self._damage: list[Damage] = []
        self._strangers: list[Publication] = []
        # Beside each other: one that does not answer must not hold up the others.
        with ThreadPoolExecutor(max(1, len(repositories)), thread_name_prefix="publications") as pool:
            for (name, repository), listed in zip(
                repositories.items(), pool.map(self._listing, repositories.values()), strict=True
            ):
                if isinstance(repository, AegisError) or isinstance(listed, AegisError):
                    self._unseen[name] = str(listed)
                else:
                    self._listed[name], self._open[name] = listed, repository
        self._numbers = sorted(
            {number for listed in self._listed.values() for key in listed if (number := self._number(key))}
        )

    def _listing(self, repository: Repository | AegisError) -> dict[str, Listed] | AegisError:
        if isinstance(repository, AegisError):
            return repository
        try:
            return {one.key: one for one in repository.listing(keys.publication_root(self._system))}
        except AegisError as error:
            return error

    def found(
        self, trusted: tuple[str, ...], former: tuple[str, ...], seen: Sequence[str], thorough: bool
    ) -> Published:
        newest = self._thorough(trusted) if thorough else self._quick(trusted)
        if newest is None and former:
            self._strangers.clear()
            self._damage.clear()
            newest = self._thorough((*trusted, *former))
        self._predecessor(newest)
        for known in seen:
            if not self._unseen and (newest is None or not self._leads_to(newest, known)):
                self._note(
                    next(iter(self._listed), ""),
                    keys.publication_root(self._system),
                    "rolled-back",
                    f"this site knew publication {known[:12]}, and what is there does not follow it",
                )
        believed = newest.publication.number if newest is not None else 0
        strangers = sorted((one for one in self._strangers if one.number > believed), key=lambda one: -one.number)
        behind = tuple(name for name in self._open if newest is not None and name not in newest.holders)
        return Published(
            newest, tuple(self._damage), self._unseen, tuple(strangers), behind, max(self._numbers, default=0)
        )

    def all(self) -> list[Publication]:
        found = []
        for number in reversed(self._numbers):
            for data in self._versions(number):
                with contextlib.suppress(AegisError):
                    found.append(peek(data))
        return found

    def _quick(self, trusted: tuple[str, ...]) -> Found | None:
        """Usually the newest is signed by who is trusted anyway; only after a change of keys more are read."""
        newest: Found | None = None
        below = len(self._numbers)
        while newest is None and below > 0:
            below -= 1
            newest = self._signed(self._numbers[below], trusted, None)
        if newest is not None:
            for number in self._numbers[below + 1 :]:
                newest = self._signed(number, newest.publication.publishers, newest) or newest
        return newest

    def _thorough(self, trusted: tuple[str, ...]) -> Found | None:
        newest: Found | None = None
        known: set[str] = set()
        for number in self._numbers:
            now = newest.publication.publishers if newest is not None else ()
            retired = known - set(now)
            allowed = tuple(key for key in dict.fromkeys([*now, *trusted]) if key not in retired)
            found = self._signed(number, allowed, newest)
            if found is not None:
                newest = found
                known.update(found.publication.publishers)
                known.update(key for listed in found.publication.signers.values() for key in listed)
        return newest

    def _signed(self, number: int, trusted: tuple[str, ...], before: Found | None) -> Found | None:
        """The publication of that number that one of `trusted` signed and, with `before`, that follows it."""
        key = keys.publication(self._system, number)
        versions = self._versions(number)
        accepted: list[tuple[Publication, bytes, list[str]]] = []
        for data, names in versions.items():
            try:
                publication = peek(data)
            except AegisError as error:
                for name in names:
                    self._note(name, key, "unreadable-record", str(error))
                continue
            allowed = (*trusted, *endorsed(publication.vouchers, trusted))
            if (publication.system, publication.number) != (self._system, number) or not signed_by(data, allowed):
                self._strangers.append(publication)
                for name in names:
                    self._note(name, key, "unknown-signer", f"publication {number} is signed by nobody who is trusted")
            elif (
                before is not None
                and before.publication.number == number - 1
                # Without a predecessor it begins anew: the documents no longer believe who signed the one before.
                and publication.previous not in ("", before.digest)
            ):
                for name in names:
                    self._note(name, key, "bad-signature", f"publication {number} does not follow the one before it")
            else:
                accepted.append((publication, data, names))
        if not accepted:
            return None
        if len(accepted) > 1:
            for _, _, names in accepted:
                self._note(names[0], key, "wrong-digest", f"there are {len(accepted)} publications of number {number}")
        publication, data, names = max(accepted, key=lambda one: (one[0].written, one[1]))
        holders = []
        for name in names:
            laid = self._listed[name].get(publication.documents.key)
            if laid is None or laid.size != publication.documents.size:
                self._note(name, publication.documents.key, "missing-object", "the sealed documents are not there")
            else:
                holders.append(name)
        return Found(publication, digest(data), data, tuple(holders))

    def _versions(self, number: int) -> dict[bytes, list[str]]:
        """The bytes that lie there under a number, with the repositories that hold them: one form, or something is
        wrong."""
        key = keys.publication(self._system, number)
        versions: dict[bytes, list[str]] = {}
        for name, listed in self._listed.items():
            if key not in listed:
                continue
            try:
                if listed[key].size > _LARGEST:
                    raise DamageError("record-unreadable", "a record cannot be read", f"{listed[key].size} bytes", "")
                versions.setdefault(read(self._open[name], key), []).append(name)
            except AegisError as error:
                self._note(name, key, "unreadable-record", str(error))
        return versions

    def _predecessor(self, newest: Found | None) -> None:
        """Notes a predecessor that is named and gone."""
        if newest is None or newest.publication.previous == "":
            return
        if newest.publication.number - 1 not in self._numbers and not self._unseen:
            key = keys.publication(self._system, newest.publication.number - 1)
            self._note(newest.holders[0] if newest.holders else "", key, "missing-record",
                       f"publication {newest.publication.number} names one before it that nobody has")  # fmt: skip

    def _leads_to(self, newest: Found, seen: str) -> bool:
        """Whether `seen` is the newest or one before it, by the digests that each names."""
        named, number = newest.digest, newest.publication.number
        previous = newest.publication.previous
        while named != seen and previous and number > 1:
            number -= 1
            named, previous = previous, self._previous_of(number, previous)
        return named == seen

    def _previous_of(self, number: int, wanted: str) -> str:
        key = keys.publication(self._system, number)
        for name, listed in self._listed.items():
            if key in listed:
                try:
                    data = read(self._open[name], key)
                    found = peek(data)
                    if digest(data) == wanted:
                        return found.previous
                except AegisError:
                    continue
        return ""

    def _number(self, key: str) -> int:
        name = key[len(keys.publication_root(self._system)) :]
        head, dot, tail = name.partition(".")
        return int(head) if dot and tail == "json" and head.isdigit() else 0

    def _note(self, repository: str, key: str, kind: Any, detail: str) -> None:
        self._damage.append(Damage(repository=repository, key=key, kind=kind, detail=detail))
