"""The documents that daemons and timers work by: the newest published revision that a listed signer signed.

It is kept at the site too, so that work goes on while no repository answers. Where nothing was ever published, those
here are used."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis_plan.errors import AegisError, DamageError

if TYPE_CHECKING:
    from aegis_plan.cli.wire import World
    from aegis_plan.documents.load import Loaded
    from aegis_plan.repositories.publications import Found

SITE_FOLDER = "schedule"
FOLDER = "published"
"""Within that folder of the site."""
_ABOUT = "about.json"


@dataclass(frozen=True)
class InForce:
    """The documents to work by, and where they come from."""

    loaded: Loaded
    number: int
    """Of the publication; 0: those here."""
    ahead: bool = False
    """Whether the documents here differ from the published ones."""
    warning: str = ""

    @property
    def words(self) -> str:
        """Which they are, for people."""
        if not self.number:
            return "the documents here: none are published, or --working-copy was given"
        return f"publication {self.number}" + ("; the documents here differ" if self.ahead else "")


def in_force(working_copy: bool = False) -> InForce:
    """What is to be worked by now; `working_copy` takes those here whatever is published.

    The documents here say where the repositories are and who is believed. Raises AegisError `published-out-of-reach`
    where something was published and cannot be read, and no copy of it is at the site; and what loading raises."""
    from aegis_plan.cli.wire import World, load_documents

    here = load_documents()
    if working_copy:
        return InForce(here, 0)
    world = World(here.documents, here.digest)
    try:
        return _published(world, here)
    finally:
        world.close()


def _published(world: World, here: Loaded) -> InForce:
    from aegis_plan.documents.bundle import revision
    from aegis_plan.repositories.heads import recall
    from aegis_plan.repositories.publications import documents, find, seen_by

    sealing, folder = here.documents.sealing, world.here.folder
    trusted = tuple(sealing.signers.values()) if sealing is not None else ()
    kept = folder / SITE_FOLDER / FOLDER
    _put_back(kept)
    number = _number(kept)
    look = find(here.documents.system.name, world.repositories, trusted, seen=seen_by(recall(folder)))
    warning = "; ".join(
        dict.fromkeys(one.detail for one in look.damage if one.kind in ("rolled-back", "unknown-signer"))
    )
    newest = look.newest
    base = _base()
    if newest is not None and newest.publication.number > number:
        try:
            contents = documents(newest, world.repositories, world.here.keys.identities)
            if revision(contents.files, contents.variables) != newest.publication.revision:
                raise DamageError("publication-damaged", "what a publication names is not what was published")
            _keep(kept, newest, contents.files, contents.variables)
        except AegisError as error:
            if not number:
                raise _out_of_reach(f"publication {newest.publication.number}: {error}") from None
            warning = f"publication {newest.publication.number} cannot be read, {number} is used: {error.summary}"
        number = _number(kept)
    if not number:
        if newest is None and seen_by(recall(folder)):
            unseen = "; ".join(f"{name}: {why}" for name, why in look.unseen.items())
            raise _out_of_reach(unseen or warning or "what was published is gone")
        if newest is None and look.unseen:
            away = ", ".join(look.unseen)
            warning = "; ".join(filter(None, (warning, f"{away} cannot be asked whether documents are published")))
        return InForce(here, 0, warning=warning)
    found = _load(kept, base)
    about = _about(kept)
    ahead = revision(here.files, {}) != about.get("files", "")
    return InForce(found, number, ahead, warning)


def _base() -> Path:
    """The folder from which relative paths of the documents count, published or not."""
    from aegis_plan.cli.documents import documents_folder

    folder = documents_folder()
    return (folder if folder.is_dir() else folder.parent).absolute()


def _load(kept: Path, base: Path) -> Loaded:
    from aegis_plan.documents.load import load
    from aegis_plan.documents.variables import Given

    variables = _about(kept).get("variables", {})
    return load(kept / "plans", Given(kept=dict(variables)), outset=base)


def _about(kept: Path) -> dict[str, Any]:
    try:
        found = json.loads((kept / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(kept: Path) -> int:
    number = _about(kept).get("number")
    return number if isinstance(number, int) else 0


def _keep(kept: Path, found: Found, files: dict[str, bytes], variables: dict[str, str]) -> None:
    """Puts the files beside and swaps folders, so that a kill leaves the one or the other whole, in its place or where
    `_put_back` finds it."""
    from aegis_plan.documents.bundle import revision

    beside = kept.with_name(f".{kept.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    for name, data in files.items():
        path = beside / "plans" / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(data)
    about = {"number": found.publication.number, "variables": variables, "files": revision(files, {})}
    (beside / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
    old = kept.with_name(f".{kept.name}.{os.getpid()}.old")
    if kept.exists():
        kept.replace(old)
    try:
        beside.replace(kept)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)  # another run has put the same there
    shutil.rmtree(old, ignore_errors=True)


def _put_back(kept: Path) -> None:
    """Whoever was killed between the two renames of `_keep` left the copy at the site under another name. Without it,
    and without a repository, work would go on by documents that were never published."""
    if kept.exists():
        return
    for old in sorted(kept.parent.glob(f".{kept.name}.*.old")):
        with contextlib.suppress(OSError):  # another run was quicker
            old.replace(kept)
            return


def _out_of_reach(why: str) -> AegisError:
    return AegisError(
        "published-out-of-reach",
        "the published documents cannot be read",
        why,
        "see that a repository can be reached; --working-copy works by the documents here",
    )
