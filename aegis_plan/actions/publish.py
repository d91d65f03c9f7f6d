"""The step `publish`: puts one signed revision of the documents into every repository, and what a machine that has
nothing needs beside it. It overwrites nothing; the first to write a number has it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed, work_folder
from aegis_plan.actions.tool_wheels import platform, version, wheels_of
from aegis_plan.catalog.publication import Laid, Publication
from aegis_plan.documents.bundle import pack, unpack
from aegis_plan.documents.digest import text
from aegis_plan.documents.model import Sealing
from aegis_plan.errors import AegisError, DamageError, StaleError, UnavailableError
from aegis_plan.repositories import keys, publications
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.heads import remember
from aegis_plan.repositories.publications import Found, Published
from aegis_plan.sealing.keys import public_signer
from aegis_plan.sealing.letters import seal
from aegis_plan.standalone.runbook import START, program, refills, runbook, start
from aegis_plan.stores.archive import missing, signing
from aegis_plan.stores.specs import packages

MADE = "publication-made"
"""Name of the mark that is written before anything is sent: sealing the same twice gives other bytes."""


class Publish:
    """Parameters: number, revision, previous, copy; and without `copy`: archive, variables, durations, protection,
    wheels."""

    kind = "publish"

    def probe(self, context: Context) -> Probed:
        sealing, _ = signing(context)
        found = _look(context, sealing)
        newest, params = found.newest, context.attempt.params
        if newest is None or newest.publication.revision != params["revision"] or found.behind:
            return Probed("needed")
        if not params["copy"] and newest.publication.run != context.attempt.run:
            return Probed("needed")
        return Probed("satisfied", outputs=_outputs(newest, newest.holders))

    def act(self, context: Context) -> Done:
        sealing, key = signing(context)
        if public_signer(key) != sealing.signers.get(context.attempt.site):
            raise AegisError(
                "signer-unlisted",
                "this site signs with a key that the documents do not list",
                f"{context.attempt.site} signs with {public_signer(key)}",
                "list it under sealing.signers, or correct the site file; nobody would believe what it publishes",
            )
        found, params = _look(context, sealing), context.attempt.params
        ready = _ready(context)
        newest = found.newest
        if params["copy"] or (newest is not None and newest.publication.run == context.attempt.run):
            return self._copied(context, sealing, newest, ready)
        if (newest.digest if newest is not None else "") != params["previous"]:
            raise _moved(newest)
        publication, data, parts = self._made(context, sealing, key, newest)
        if newest is not None:
            # So that no repository holds a publication whose predecessor it lacks.
            self._copy(context, newest, {name: ready[name] for name in found.behind if name in ready})
        took = self._put(context, publication, data, parts, ready)
        _enough(took, sealing)
        digest = publications.digest(data)
        _remember(context, digest)
        # What is published is found by that; the wheels alone weigh more than all else at a site.
        shutil.rmtree(work_folder(context) / "publication", ignore_errors=True)
        return Done(_outputs(Found(publication, digest, data, took), took))

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "a publication is not taken back",
            f"number {context.attempt.params['number']}",
            "publish the earlier documents again: they become the newest revision",
        )

    def _made(
        self, context: Context, sealing: Sealing, key: bytes, before: Found | None
    ) -> tuple[Publication, bytes, dict[str, Path]]:
        """The publication, its bytes and those of all that it names: of an earlier attempt where they are left."""
        folder = work_folder(context) / "publication"
        for mark in reversed(context.marks):
            if mark.name == MADE and (again := _again(mark.data, folder)) is not None:
                return again
        for left in (context.folder / "work").glob("*/publication"):
            # Of runs that were killed behind their last write; nobody else publishes here now.
            shutil.rmtree(left, ignore_errors=True)
        folder.mkdir(exist_ok=True, mode=0o700)
        context.progress("pack")
        params, system = context.attempt.params, context.declared.system.name
        now = context.clock.now()
        inside = {
            "about.json": text(
                {"format": 1, "variables": params["variables"], "durations": params["durations"]}
            ).encode(),
            "runbook.md": runbook(context.declared, params["number"]).encode(),
            **refills(context.declared),
            **{f"documents/{name}": data for name, data in unpack(base64.b64decode(params["archive"])).items()},
        }
        sealed = seal(pack(inside), sealing)
        digest = hashlib.sha256(sealed).hexdigest()
        place = keys.publication_documents(system, params["number"], digest)
        beside, parts = _beside(context, folder, before)
        parts[place] = _write(_part(folder, place), sealed)
        publication = Publication(
            id=f"{system}/{params['number']}",
            system=system,
            number=params["number"],
            previous=params["previous"],
            written=now,
            site=context.attempt.site,
            run=context.attempt.run,
            tool=version(),
            revision=params["revision"],
            documents=Laid(name="documents.tar.gz.age", key=place, size=len(sealed), sha256=digest),
            signers=sealing.believed,
            publishers=tuple(dict.fromkeys(sealing.signers.values())),
            vouchers=sealing.vouchers,
            protection=params["protection"],
            beside=beside,
        )
        data = publications.sign(publication, key)
        _write(folder / "publication.json", data)
        context.mark(MADE, digest=publications.digest(data), parts={key: str(path) for key, path in parts.items()})
        return publication, data, parts

    def _put(
        self, context: Context, publication: Publication, data: bytes, parts: dict[str, Path],
        ready: dict[str, Repository],
    ) -> tuple[str, ...]:  # fmt: skip
        """Everything first, the manifest last, and in the authority first: who is first there has the number."""
        system = publication.system
        whole: dict[str, Repository] = {}
        for name, repository in ready.items():
            context.check()
            context.progress(f"send to {name}")
            try:
                for key, path in parts.items():
                    _send(repository, key, path)
                _mark(repository, keys.system_mark(system), system)
                _mark(repository, keys.repository_name(system, name), name)
                whole[name] = repository
            except AegisError as error:
                missing(context, name, str(error))
        took: list[str] = []
        state = context.declared.state
        for name in sorted(whole, key=lambda name: state is None or name != state.authority):
            try:
                whole[name].put(keys.publication(system, publication.number), data)
                took.append(name)
            except DamageError as error:
                if error.code != "object-conflict":
                    raise
                raise _moved(None, f"{name} has another publication of number {publication.number}") from None
            except AegisError as error:
                missing(context, name, str(error))
        return tuple(took)

    def _copied(self, context: Context, sealing: Sealing, newest: Found | None, ready: dict[str, Repository]) -> Done:
        if newest is None or newest.publication.revision != context.attempt.params["revision"]:
            raise _moved(newest)
        took = self._copy(context, newest, ready)
        _enough(took, sealing)
        _remember(context, newest.digest)
        return Done(_outputs(newest, took))

    def _copy(self, context: Context, found: Found, targets: dict[str, Repository]) -> tuple[str, ...]:
        """Brings a publication with all that it names to the targets that lack some of it."""
        publication, system = found.publication, found.publication.system
        sources: dict[str, Repository | AegisError] = {
            name: context.repositories[name] for name in found.holders if name in context.repositories
        }
        took = []
        for name, target in targets.items():
            context.check()
            context.progress(f"send to {name}")
            try:
                for laid in (*publication.beside, publication.documents):
                    head = target.head(laid.key)
                    if head is None or head.size != laid.size:
                        target.put(laid.key, publications.laid_bytes(laid, sources))
                _mark(target, keys.system_mark(system), system)
                _mark(target, keys.repository_name(system, name), name)
                target.put(keys.publication(system, publication.number), found.data)
                took.append(name)
            except AegisError as error:
                missing(context, name, str(error))
        return tuple(took)


def _look(context: Context, sealing: Sealing) -> Published:
    open_: dict[str, Repository | AegisError] = {}
    for name in context.repositories:
        try:
            open_[name] = context.repositories[name]
        except AegisError as error:
            open_[name] = error
    former = [key for keys in sealing.former_signers.values() for key in keys]
    return publications.find(context.declared.system.name, open_, sealing.signers.values(), former=former)


def _ready(context: Context) -> dict[str, Repository]:
    found: dict[str, Repository] = {}
    for name in context.repositories:
        try:
            found[name] = context.repositories[name]
        except AegisError as error:
            missing(context, name, str(error))
    return found


def _again(mark: dict[str, Any], folder: Path) -> tuple[Publication, bytes, dict[str, Path]] | None:
    try:
        data = (folder / "publication.json").read_bytes()
        publication = publications.peek(data)
        parts = {key: Path(path) for key, path in mark["parts"].items()}
        named = {laid.key: laid.sha256 for laid in (publication.documents, *publication.beside)}
        whole = all(hashlib.sha256(path.read_bytes()).hexdigest() == named.get(key) for key, path in parts.items())
    except (OSError, AegisError):
        return None
    if not whole or publications.digest(data) != mark["digest"]:
        return None
    return publication, data, parts


def _part(folder: Path, key: str) -> Path:
    return folder / hashlib.sha256(key.encode()).hexdigest()[:32]


def _kept(before: Found | None) -> tuple[Laid, ...]:
    return before.publication.beside if before is not None else ()


def _send(repository: Repository, key: str, path: Path) -> None:
    """An object whose digest is in its key: what is there in its size need not be sent again."""
    head = repository.head(key)
    if head is None or head.size != path.stat().st_size:
        repository.put(key, path.read_bytes())


def _write(path: Path, data: bytes) -> Path:
    beside = path.with_suffix(".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return path


def _mark(repository: Repository, key: str, content: str) -> None:
    if repository.head(key) is None:
        repository.put(key, content.encode())


def _remember(context: Context, digest: str) -> None:
    try:
        remember(context.folder, keys.SYSTEM_ROOM, publications.HEAD, "data", digest)
    except OSError as error:
        context.find(
            "warning",
            "site-folder-unusable",
            "the site's folder cannot be used",
            f"{context.folder}: {error.strerror}; if this publication is taken away, nobody here will notice",
            "see that the disk has room and is writable",
        )


def _enough(took: tuple[str, ...], sealing: Sealing) -> None:
    if len(took) < max(1, sealing.minimum_copies):
        raise UnavailableError(
            "too-few-copies",
            "fewer repositories than required can take the backup",
            f"{len(took)} of at least {max(1, sealing.minimum_copies)} took the documents",
            "repair a repository, or lower sealing.minimum_copies",
        )


def _moved(newest: Found | None, detail: str = "") -> StaleError:
    now = f"number {newest.publication.number} by {newest.publication.site}" if newest is not None else "none"
    return StaleError(
        "publication-moved",
        "somebody else published since this was planned",
        detail or f"the newest publication is {now}",
        "make a new plan; see whose documents are to be in force",
    )


def _outputs(found: Found, took: tuple[str, ...]) -> dict[str, Any]:
    publication = found.publication
    return {
        "number": publication.number,
        "digest": found.digest,
        "revision": publication.revision,
        "bytes": publication.documents.size,
        "copies": list(took),
    }


def _beside(context: Context, folder: Path, before: Found | None) -> tuple[tuple[Laid, ...], dict[str, Path]]:
    """What lies beside the documents, with the bytes of what is new: program, page to begin with, wheels."""
    params, system = context.attempt.params, context.declared.system.name
    parts: dict[str, Path] = {}

    def laid(path: Path) -> Laid:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        made = Laid(name=path.name, key=keys.beside(system, digest, path.name), size=len(data), sha256=digest)
        parts[made.key] = path
        return made

    unseal = laid(_write(folder / "unseal.py", program()))
    wheels = [one for one in _kept(before) if one.name.endswith(".whl")]
    if params["wheels"] not in ("keep", "none"):
        context.progress("pack the tool")
        more = packages(context.declared.stores.values())
        wheels = [laid(path) for path in wheels_of(params["wheels"], folder / "wheels", more)]
    page = start(
        system, params["number"], version(), {"key": unseal.key, "sha256": unseal.sha256}, len(wheels), platform()
    )
    return (laid(_write(folder / START, page.encode())), unseal, *wheels), parts


ACTION = Publish()
