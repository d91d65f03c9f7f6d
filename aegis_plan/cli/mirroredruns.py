"""Brings runs that a repository mirrors into the folder of runs, so that they can be looked at, measured and gone on
with as if they had been made here. It never touches a run that began here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.errors import AegisError

if TYPE_CHECKING:
    from aegis_plan.repositories.contract import Repository

NEWEST = 50
"""Runs that are brought, newest first: each costs a few requests."""
MARK = "mirrored.json"


def bring(
    folder: Path, repository: Repository, system: str, keys: Sequence[str], signers: Mapping[str, tuple[str, ...]]
) -> None:
    """Fetches what is not here yet, or only in part. What cannot be read is told and passed over."""
    from aegis_plan.journal.mirrored import fetch, runs

    try:
        found = runs(repository, system)
    except AegisError as error:
        click.echo(f"warning: earlier runs cannot be read: {error}", err=True)
        return
    left = len(found) - NEWEST
    unread = 0
    for run, objects in list(found.items())[-NEWEST:]:
        place = folder / run
        if (place / "plan.json").exists() and _count(place) in (None, len(objects)):
            continue
        try:
            got = fetch(repository, system, run, objects, keys, signers)
        except AegisError:
            unread += 1
            continue
        if not got.plan:
            continue
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark = {"objects": len(objects), "signed": got.signed}
        (place / MARK).write_text(json.dumps(mark), encoding="utf-8")
        (place / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in got.lines))
        (place / "plan.json").write_bytes(got.plan)
    if unread:
        click.echo(f"warning: {unread} earlier runs are not sealed to the key given", err=True)
    if left > 0:
        click.echo(f"The newest {NEWEST} runs were brought; {left} older ones lie in the repository.", err=True)


def _count(place: Path) -> int | None:
    """Of how many objects a run was brought; None for one that began here, or was gone on with."""
    try:
        return int(json.loads((place / MARK).read_text(encoding="utf-8"))["objects"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def require_vouched(place: Path) -> None:
    """Before a run is gone on with here. Raises AegisError `run-unvouched` for one that nobody who is trusted signed;
    otherwise it is this machine's from now on."""
    try:
        signed = bool(json.loads((place / MARK).read_text(encoding="utf-8"))["signed"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        signed = False
    if not signed:
        raise AegisError(
            "run-unvouched",
            "nobody who is trusted vouches for this run",
            f"{place.name} was brought from a repository, and its plan or journal is not signed by a listed signer",
            "make a new plan: what was done already shows by itself",
        )
    (place / MARK).unlink()
