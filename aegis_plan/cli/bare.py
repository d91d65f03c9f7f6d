"""Makes the working folder of a machine that has nothing but an address, credentials and a key: the documents as they
were in force, a site file with the key, the runs that were mirrored. It believes only what is vouched for.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli import escrowed
from aegis_plan.cli.session import Session
from aegis_plan.cli.source import Source
from aegis_plan.cli.standin import NAME, StandIn, elsewhere, of, site_file
from aegis_plan.errors import AegisError, UsageError

if TYPE_CHECKING:
    from aegis_plan.documents.model import Documents
    from aegis_plan.repositories.contract import Repository
    from aegis_plan.repositories.publications import Contents, Found


def enter(session: Session, source: Source) -> Path:
    """The folder `plans` of the working folder, made or brought up to date.

    Raises UsageError and AegisError, each with the way on; nothing was written then but below the folder."""
    from aegis_plan.cli.trusting import anchors, identities

    with _opened(source.address) as repository:
        system = _system(repository, source)
        keys = identities(session, source, _kept_key(source, system))
        trusted = anchors(session, source, system, repository, keys, _kept_signers(source, system))
        found, contents = _newest(system, {"": repository}, trusted, keys)
        documents = _documents(contents, found)
        name = _called(repository, documents, source, system)
        # Before the other repositories: their credentials may be in it.
        secrets = escrowed.bring(documents, repository, keys, found.publication.signers, source.escrow)
        others = _others(documents, name, repository, source)
        with _closing(others):
            found, contents = _newer(system, {**others, name: repository}, trusted, keys, found, contents, name)
            documents = _documents(contents, found)
            site = _site(documents, source, system)
            plans = _write(_folder(source, system), source, found, contents, documents, site, name, keys)
            _lay_secrets(secrets, plans)
            for one in (repository, *others.values()):
                if not isinstance(one, AegisError):
                    _runs(plans, one, system, keys, found)
    _tell(found, documents, plans, site, name)
    return plans


@contextmanager
def _opened(address: str) -> Iterator[Repository]:
    from aegis_plan.repositories.address import declared
    from aegis_plan.repositories.build import build
    from aegis_plan.site.secrets import Resolver

    repository = build("from", declared(address), Resolver(os.environ, Path.cwd()).text)
    try:
        yield repository
    finally:
        repository.close()


@contextmanager
def _closing(repositories: Mapping[str, Repository | AegisError]) -> Iterator[None]:
    try:
        yield
    finally:
        for repository in repositories.values():
            if not isinstance(repository, AegisError):
                repository.close()


def _system(repository: Repository, source: Source) -> str:
    """The system that is meant. Raises AegisError `nothing-published`, UsageError `system-unclear`."""
    from aegis_plan.repositories.keys import SYSTEMS

    found = [listed.key[len(SYSTEMS) :] for listed in repository.listing(SYSTEMS)]
    if source.system is not None and source.system in found:
        return source.system
    if not found:
        raise AegisError(
            "nothing-published",
            "no documents are published there",
            f"{source.address} holds no publication",
            "see that the address is right, prefix included; where it is, go on with the documents themselves: "
            "nobody ran 'aegis publish'",
        )
    if source.system is not None or len(found) > 1:
        raise UsageError(
            "system-unclear",
            "it is not clear which system is meant",
            f"published there: {', '.join(found)}",
            "name one with --system",
        )
    return found[0]


def _folder(source: Source, system: str) -> Path:
    return (source.into or Path(f"recovery-{system}")).absolute()


def _kept_key(source: Source, system: str) -> Path:
    return _folder(source, system) / "site" / "keys" / "key.age"


def _kept_signers(source: Source, system: str) -> tuple[str, ...]:
    """What an earlier invocation believed, with the number that it saw."""
    kept = of(_folder(source, system) / "plans")
    if kept is None or not kept.complete or kept.system != system:
        return ()
    return tuple(key for keys in kept.signers.values() for key in keys[:1])


def _newest(
    system: str, repositories: Mapping[str, Repository | AegisError], trusted: tuple[str, ...], keys: tuple[str, ...]
) -> tuple[Found, Contents]:
    """Raises AegisError `publication-untrusted`, and as `publications.documents` does."""
    from aegis_plan.documents.bundle import revision
    from aegis_plan.errors import DamageError
    from aegis_plan.repositories.publications import documents, find

    look = find(system, repositories, trusted, thorough=True)
    for stranger in look.strangers:
        _warn(
            f"publication {stranger.number}, said to be written {stranger.written:%Y-%m-%d %H:%M} UTC by "
            f"{stranger.site}, is signed by nobody who is trusted. It is not used."
        )
    for damage in look.damage:
        if damage.kind not in ("unknown-signer",):
            _warn(f"{damage.repository or 'the repository'}: {damage.detail}")
    if look.newest is None:
        raise AegisError(
            "publication-untrusted",
            "no publication is signed by anybody who is trusted",
            f"trusted: {', '.join(trusted) or 'nobody'}",
            "give a signer that you know with --trust, from the recovery sheet say; a rogue writer of the repository "
            "may have put there what lies there",
        )
    contents = documents(look.newest, repositories, keys)
    if revision(contents.files, contents.variables) != look.newest.publication.revision:
        raise DamageError(
            "publication-damaged",
            "what a publication names is not what was published",
            f"the files of publication {look.newest.publication.number} are others than its revision names",
            "use another repository; find out who can write to this one",
        )
    return look.newest, contents


def _newer(
    system: str,
    repositories: Mapping[str, Repository | AegisError],
    trusted: tuple[str, ...],
    keys: tuple[str, ...],
    found: Found,
    contents: Contents,
    name: str,
) -> tuple[Found, Contents]:
    """The newest that any repository of the documents has: the one given may be behind, or was put back."""
    for other, repository in repositories.items():
        if isinstance(repository, AegisError):
            click.echo(f"Not reached: repository {other}: {repository.detail or repository.summary}", err=True)
    if len(repositories) == 1:
        return found, contents
    anew, inside = _newest(system, repositories, trusted, keys)
    if anew.publication.number > found.publication.number:
        _warn(
            f"{name} holds publication {found.publication.number}, and {', '.join(anew.holders)} number "
            f"{anew.publication.number}, which is used. {name} is behind, or somebody took the newer one away there."
        )
    return anew, inside


def _documents(contents: Contents, found: Found) -> Documents:
    """The published files, checked. They are read from a private folder that is gone afterwards."""
    import tempfile

    from aegis_plan.documents.load import load
    from aegis_plan.documents.variables import Given

    with tempfile.TemporaryDirectory(prefix="aegis-") as folder:
        _lay(Path(folder, "plans"), contents.files)
        return load(Path(folder, "plans"), Given(kept=contents.variables)).documents


def _lay(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(data)


def _called(repository: Repository, documents: Documents, source: Source, system: str) -> str:
    """What the documents call the repository. Raises UsageError `repository-unclear`."""
    from aegis_plan.repositories import keys

    if source.repository is not None:
        if source.repository in documents.repositories:
            return source.repository
        found = []
    else:
        root = keys.repository_name(system, "")
        marks = [listed.key[len(root) :] for listed in repository.listing(root)]
        found = [name for name in marks if name in documents.repositories]
        if len(documents.repositories) == 1:
            found = list(documents.repositories)
    if len(found) == 1:
        return found[0]
    raise UsageError(
        "repository-unclear",
        "it is not clear which repository of the documents this is",
        f"declared: {', '.join(documents.repositories)}",
        "name it with --repository",
    )


def _others(
    documents: Documents, name: str, repository: Repository, source: Source
) -> dict[str, Repository | AegisError]:
    """The other repositories of the documents, as far as this machine can reach them."""
    from aegis_plan.errors import UnavailableError
    from aegis_plan.repositories import keys
    from aegis_plan.repositories.build import build
    from aegis_plan.site.secrets import Resolver

    secrets = Resolver(os.environ, Path.cwd())
    stands = StandIn(address=source.address, repository=name)
    made: dict[str, Repository | AegisError] = {}
    for other, declared in documents.repositories.items():
        if other == name:
            continue
        try:
            if why := elsewhere(other, declared, stands):
                raise UnavailableError(
                    "repository-elsewhere", "a repository is on another machine", why, "go on with the others"
                )
            opened = build(other, declared, secrets.text)
            next(iter(opened.listing(keys.publication_root(documents.system.name))), None)
            made[other] = opened
        except AegisError as error:
            made[other] = error
    return made


def _site(documents: Documents, source: Source, system: str) -> str:
    """For which site this machine stands in. Raises UsageError `site-unknown`, `site-unclear`."""
    from aegis_plan.cli.planning import require_known

    require_known("site", source.site, documents.sites)
    if source.site is not None:
        return source.site
    kept = of(_folder(source, system) / "plans")
    if kept is not None and kept.complete and kept.site in documents.sites:
        return kept.site
    if len(documents.sites) == 1:
        return next(iter(documents.sites))
    raise UsageError(
        "site-unclear",
        "it is not clear for which site this machine stands in",
        f"declared: {', '.join(documents.sites)}",
        "name one with --site: where its servers are is where things come back. Never one that still runs elsewhere",
    )


def _write(
    folder: Path,
    source: Source,
    found: Found,
    contents: Contents,
    documents: Documents,
    site: str,
    name: str,
    keys: tuple[str, ...],
) -> Path:
    """Raises AegisError `folder-in-use`, `file-not-written`."""
    from aegis_plan.documents.model import LocalRepository
    from aegis_plan.repositories.address import declared

    plans, publication = folder / "plans", found.publication
    kept = of(plans)
    if kept is None and folder.exists() and any(folder.iterdir()):
        raise AegisError(
            "folder-in-use",
            "the working folder holds something else",
            f"{folder} is not empty",
            "name another one with --into",
        )
    if kept is not None and kept.system not in ("", publication.system):
        raise AegisError(
            "folder-in-use",
            "the working folder holds something else",
            f"{folder} is that of the system {kept.system}",
            "name another one with --into",
        )
    ours = documents.repositories[name]
    reached = declared(source.address, site)
    if not isinstance(reached, LocalRepository):
        reached = reached.model_copy(update={"site": ours.site})
    stands = StandIn(
        address=source.address,
        system=publication.system,
        site=site,
        repository=name,
        declared=reached.model_dump(mode="json"),
        number=publication.number,
        revision=publication.revision,
        signers=publication.signers,
        variables=contents.variables,
        durations=contents.durations,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(folder, 0o700)
        if kept is None or not kept.complete or kept.number != publication.number or kept.site != site:
            _put(folder / NAME, stands.model_dump_json().encode())
            if plans.exists():
                if kept is not None and kept.complete and _edited(plans, kept):
                    _warn(f"{plans} was changed by hand and is left as it is")
                else:
                    shutil.rmtree(plans)
            if not plans.exists():
                plans.mkdir(mode=0o700)
                _lay(plans, contents.files)
            file = site_file(plans, stands)
            (file.parent / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
            text = f'aegis-site: v1\nsite: {site}\nfolder: {site}\nidentities: ["${{file:keys/key.age}}"]\n'
            _put(file.parent / "keys" / "key.age", "".join(f"{key}\n" for key in keys).encode())
            if not file.exists():
                _put(file, text.encode())
            _put(folder / NAME, stands.model_copy(update={"complete": True}).model_dump_json().encode())
    except OSError as error:
        raise AegisError("file-not-written", "a file cannot be written", f"{folder}: {error.strerror}") from None
    return plans


def _put(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
    beside.replace(path)


def _edited(plans: Path, kept: StandIn) -> bool:
    """Whether the documents are others than those that were laid there. What cannot be read somebody changed."""
    from aegis_plan.documents.bundle import revision
    from aegis_plan.documents.load import document_files, read_document

    try:
        files = {file.relative_to(plans).as_posix(): read_document(file) for file in document_files(plans)}
    except UsageError:
        return False  # there are none left
    except AegisError:
        return True
    return revision(files, kept.variables) != kept.revision


def _runs(plans: Path, repository: Repository, system: str, keys: tuple[str, ...], found: Found) -> None:
    from aegis_plan.cli.mirroredruns import bring

    kept = of(plans)
    if kept is not None:
        bring(site_file(plans, kept).parent / kept.site / "runs", repository, system, keys, found.publication.signers)


def _lay_secrets(secrets: Mapping[str, str], plans: Path) -> None:
    try:
        escrowed.lay(secrets, plans.parent / "site")
    except OSError as error:
        raise AegisError("file-not-written", "a file cannot be written", f"{plans.parent}: {error.strerror}") from None


def _tell(found: Found, documents: Documents, plans: Path, site: str, name: str) -> None:
    publication = found.publication
    click.echo(
        f"Documents of {publication.system} as in force: revision {publication.number}, published "
        f"{publication.written:%Y-%m-%d %H:%M} UTC by {publication.site}, from {name}.\n"
        f"This machine stands in for site {site}. Working folder: {plans.parent} (it holds the key: remove it when "
        "all is over).",
        err=True,
    )
    for line in escrowed.unset(documents, plans.parent / "site"):
        click.echo(line, err=True)
    sys.stderr.flush()


def _warn(text: str) -> None:
    click.echo(f"warning: {text}", err=True)
