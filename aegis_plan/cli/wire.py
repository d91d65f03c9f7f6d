"""Puts the concrete parts together: documents, site files, dispatcher, repositories. The only place that does.

Everything is made when first asked for, so that a command pays only for what it uses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from aegis_plan.cli.documents import documents_folder
from aegis_plan.clock import SystemClock
from aegis_plan.errors import AegisError, UnavailableError

if TYPE_CHECKING:
    from aegis_plan.actions.contract import SiteKeys
    from aegis_plan.catalog.holding import Shelf
    from aegis_plan.dispatch.local import LocalDispatcher
    from aegis_plan.documents.load import Loaded
    from aegis_plan.documents.model import Documents
    from aegis_plan.observe.snapshot import PastDuration, Snapshot, WorkingCopy
    from aegis_plan.repositories.contract import Repository
    from aegis_plan.site.secrets import Resolver
    from aegis_plan.site.sitefile import SiteFile


def load_documents(
    path: Path | None = None, kept: Mapping[str, str] | None = None, forgiven: frozenset[str] = frozenset()
) -> Loaded:
    """The documents of this invocation, checked but for the codes `forgiven`; `kept` are values of variables that go
    before all that is given."""
    from aegis_plan.cli import standin
    from aegis_plan.cli.variables import given
    from aegis_plan.documents.digest import digest
    from aegis_plan.documents.load import load
    from aegis_plan.repositories.collecting import uncollected

    folder = documents_folder(path)
    stands = standin.of(folder)
    with uncollected():
        loaded = load(folder, given({**(stands.variables if stands else {}), **(kept or {})}), forgiven)
    if stands is None:
        return loaded
    documents = standin.applied(loaded.documents, folder, stands)
    return replace(loaded, documents=documents, digest=digest(documents))


@dataclass(frozen=True)
class Public:
    """The public halves of the keys that a site has."""

    signer: str
    recipients: tuple[str, ...]


@dataclass(frozen=True)
class Here:
    """The site whose host this is: where runs are kept and private keys are."""

    file: SiteFile
    secrets: Resolver

    @property
    def folder(self) -> Path:
        return self.file.folder

    @cached_property
    def keys(self) -> SiteKeys:
        from aegis_plan.site.sitefile import keys

        return keys(self.file, self.secrets)

    def public(self) -> Public:
        from aegis_plan.sealing.keys import public_identity, public_signer

        keys = self.keys
        signer = public_signer(keys.signing) if keys.signing else ""
        return Public(signer, tuple(public_identity(text) for text in keys.identities))


def open_site(path: Path) -> Here:
    """The site of one site file."""
    from aegis_plan.site.secrets import Resolver
    from aegis_plan.site.sitefile import load

    file = load(path)
    return Here(file, Resolver(os.environ, path.parent))


def local_sites(documents: Documents) -> dict[str, Path]:
    """Sites of this host with their site files, primary ones first."""
    sites = [(name, site) for name, site in documents.sites.items() if site.reach == "local"]
    sites.sort(key=lambda pair: pair[1].role != "primary")
    files = {name: Path(site.file or f"/etc/aegis/{name}.yaml") for name, site in sites}
    from aegis_plan.cli import standin

    stands = standin.here()
    if stands is not None and stands[1].system == documents.system.name and stands[1].site in documents.sites:
        # Also for a plan that was made where the site was.
        site = stands[1].site
        files = {site: standin.site_file(*stands), **{name: file for name, file in files.items() if name != site}}
    return files


def site_here(documents: Documents) -> Here | None:
    """The site of this host; None when none of the documents' sites has its site file here."""
    for path in local_sites(documents).values():
        if path.exists():
            return open_site(path)
    return None


class World:
    """All that commands reach of the world for one set of documents."""

    def __init__(self, documents: Documents, digest: str, files: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """`files` are the documents as they were read, where they were."""
        self.documents = documents
        self.digest = digest
        self.clock = SystemClock()
        self._files = files

    @cached_property
    def here(self) -> Here:
        """Raises AegisError `site-not-here` when no site of the documents is this host."""
        found = site_here(self.documents)
        if found is None:
            looked = (
                ", ".join(str(path) for path in local_sites(self.documents).values()) or "no site is 'reach: local'"
            )
            raise AegisError(
                "site-not-here",
                "this host is no site of the documents",
                f"looked for {looked}",
                "make keys and site file with 'aegis keys new SITE', and name the file under sites.<name>.file",
            )
        return found

    @cached_property
    def dispatcher(self) -> LocalDispatcher:
        from aegis_plan.dispatch.local import LocalDispatcher

        work = [sys.executable, "-m", "aegis_plan", "site", "work", "--file"]
        return LocalDispatcher({name: [*work, str(path)] for name, path in local_sites(self.documents).items()})

    @cached_property
    def repositories(self) -> Mapping[str, Repository | AegisError]:
        """Every declared repository; one that cannot be opened stands with its error."""
        from aegis_plan.cli import standin
        from aegis_plan.repositories.build import build

        here, stands = site_here(self.documents), standin.here()
        made: dict[str, Repository | AegisError] = {}
        for name, declared in self.documents.repositories.items():
            try:
                if stands is not None and (why := standin.elsewhere(name, declared, stands[1])):
                    raise UnavailableError(
                        "repository-elsewhere", "a repository is on another machine", f"{name}: {why}",
                        "bring its disk here and name it with --from, or go on with the others",
                    )  # fmt: skip
                if here is not None:
                    made[name] = build(name, declared, here.secrets.text, here.folder)
                else:
                    made[name] = self.here.secrets  # type: ignore[assignment]  # raises: no site is here
            except AegisError as error:
                made[name] = error
        return made

    def authority(self) -> Repository:
        """The repository that holds leases, used plans and journals.

        Raises AegisError `authority-unknown` when the documents leave it open, or why it cannot be opened."""
        documents = self.documents
        if documents.state is not None:
            name = documents.state.authority
        elif len(documents.repositories) == 1:
            name = next(iter(documents.repositories))
        else:
            raise AegisError(
                "authority-unknown",
                "the documents do not say where leases and journals live",
                f"there are {len(documents.repositories)} repositories and no section 'state'",
                "add for example 'state: {authority: NAME}' with the name of a repository",
            )
        found = self.repositories[name]
        if isinstance(found, AegisError):
            raise found
        return found

    def mirrors(self) -> list[Repository]:
        """Repositories beside the authority that keep journals too; those that cannot be opened are left out."""
        names = self.documents.state.mirrors if self.documents.state else ()
        return [found for name in names if not isinstance(found := self.repositories[name], AegisError)]

    def observe(
        self, stores: tuple[str, ...] | None = None, sites_down: tuple[str, ...] = (), beside: str = ""
    ) -> Snapshot:
        """Looks at the world and writes nothing; what a site remembers of catalogs it learns from its own jobs."""
        from aegis_plan.observe.look import observe

        here = site_here(self.documents)
        seen = observe(
            self.documents,
            self.dispatcher,
            self.repositories,
            self.clock,
            signers=self.documents.sealing.believed if self.documents.sealing else {},
            cache=here.folder if here is not None else None,
            seen=self.written(),
            durations=self.durations(),
            stores=stores,
            sites_down=sites_down,
            beside=beside,
        )
        return seen.model_copy(update={"working": self.working()}) if self._files else seen

    def working(self) -> WorkingCopy | None:
        """The documents as files; None where they come from a plan."""
        import base64

        from aegis_plan.documents.bundle import pack, revision
        from aegis_plan.observe.snapshot import WorkingCopy

        if not self._files:
            return None
        values = {name: one.default for name, one in self.documents.variables.items() if one.default is not None}
        archive = base64.b64encode(pack(self._files)).decode()
        return WorkingCopy(revision=revision(self._files, values), archive=archive, variables=values)

    def shelves(self, stores: Sequence[str]) -> dict[str, Shelf]:
        """What the repositories say of some stores, without a look at their servers."""
        from aegis_plan.observe.look import shelves

        here = site_here(self.documents)
        return shelves(
            self.documents,
            stores,
            self.repositories,
            self.documents.sealing.believed if self.documents.sealing else {},
            here.folder if here is not None else None,
            self.written(),
            frozenset(),
        )

    def written(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """The newest records that sites of this host wrote, by store: one that is gone was taken away."""
        from aegis_plan.repositories.heads import recall

        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for path in local_sites(self.documents).values():
            if path.exists():
                for store, places in recall(open_site(path).folder).items():
                    known = found.setdefault(store, {})
                    for place, digests in places.items():
                        known[place] = tuple(sorted({*known.get(place, ()), *digests}))
        return found

    def durations(self) -> tuple[PastDuration, ...]:
        """How long steps took in earlier runs of this host; nothing when this host has no runs."""
        from aegis_plan.cli import standin
        from aegis_plan.journal.history import past
        from aegis_plan.observe.snapshot import PastDuration

        here, stands = site_here(self.documents), standin.here()
        published = tuple(PastDuration.model_validate(one) for one in stands[1].durations) if stands else ()
        if here is None or not (here.folder / "runs").is_dir():
            return published
        found = tuple(
            PastDuration(
                action=one.action,
                subject=one.subject,
                count=one.times,
                seconds=one.mean,
                bytes=one.bytes,
                p50=one.p50,
                p95=one.p95,
            )
            for one in past(here.folder / "runs")
        )
        known = {(one.action, one.subject) for one in found}
        return (*found, *(one for one in published if (one.action, one.subject) not in known))

    def close(self) -> None:
        """Ends what was started."""
        if "dispatcher" in self.__dict__:
            self.dispatcher.close()
        if "repositories" in self.__dict__:
            for repository in self.repositories.values():
                if not isinstance(repository, AegisError):
                    repository.close()


@contextmanager
def world(documents: Documents, digest: str, files: Mapping[str, bytes] = MappingProxyType({})) -> Iterator[World]:
    """A world that is closed again."""
    made = World(documents, digest, files)
    try:
        yield made
    finally:
        made.close()
