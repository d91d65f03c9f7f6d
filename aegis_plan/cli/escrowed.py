"""Secret references on a machine that stands in: values come from an escrow where its key is here, and what resolves to
nothing is told. It shows names, never values, and sets nothing that the documents do not name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from aegis_plan.errors import AegisError

if TYPE_CHECKING:
    from aegis_plan.documents.model import Documents
    from aegis_plan.repositories.contract import Repository
    from aegis_plan.sealing.escrow import Escrow


def bring(
    documents: Documents,
    repository: Repository,
    keys: Sequence[str],
    signers: Mapping[str, tuple[str, ...]],
    file: Path | None,
) -> dict[str, str]:
    """Values of an escrow by reference: of the file, else the newest in the repository. Those of the environment are
    set for this command and what it starts; the others are for `lay`.

    Raises AegisError `file-not-read`, and for a file what `sealing/escrow.py` raises."""
    from aegis_plan.sealing.escrow import look, opened

    found: Escrow | None
    if file is not None:
        try:
            found = look(file.read_bytes(), signers)
        except OSError as error:
            raise AegisError("file-not-read", "a file cannot be read", f"{file}: {error.strerror}") from None
        values = opened(found, keys)
    else:
        found = _newest(documents.system.name, repository, signers)
        if found is None:
            return {}
        try:
            values = opened(found, keys)
        except AegisError:
            click.echo(f"There is an escrow of {found.written:%Y-%m-%d}; the recovery key opens it.", err=True)
            return {}
    wanted = _needed(documents)
    values = {reference: value for reference, value in values.items() if reference in wanted}
    for reference, value in values.items():
        if reference.startswith("${env:"):
            os.environ.setdefault(reference[6:-1], value)
    click.echo(f"{len(values)} secrets come from the escrow of {found.written:%Y-%m-%d %H:%M} UTC.", err=True)
    return values


def lay(values: Mapping[str, str], site: Path) -> None:
    """Writes what references name as files below the folder of the site file. Raises OSError."""
    for reference, value in values.items():
        path = PurePosixPath(reference[7:-1])
        if not reference.startswith("${file:") or path.is_absolute() or ".." in path.parts or path.parts[0] == "keys":
            continue
        target = site / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                file.write(value)


def unset(documents: Documents, base: Path) -> list[str]:
    """One line each for a reference that resolves to nothing here; relative files count from `base`."""
    from aegis_plan.site.secrets import Resolver

    secrets = Resolver(os.environ, base)
    lines = []
    for reference, places in _needed(documents).items():
        if reference.startswith("${command:"):
            continue  # it is run where it is needed, and not for a look
        try:
            secrets.text(reference)
        except AegisError:
            lines.append(f"Not set here: {reference}, for {', '.join(places[:3])}")
    return lines


def _needed(documents: Documents) -> dict[str, tuple[str, ...]]:
    from aegis_plan.plan.escrow import needed

    return needed(documents)


def _newest(system: str, repository: Repository, signers: Mapping[str, tuple[str, ...]]) -> Escrow | None:
    """The newest that a listed signer signed; others are passed over, and what cannot be read is told."""
    from aegis_plan.repositories import keys
    from aegis_plan.repositories.contract import read
    from aegis_plan.sealing.escrow import look

    found: list[Escrow] = []
    try:
        for listed in repository.listing(keys.escrow_root(system)):
            try:
                one = look(read(repository, listed.key), signers)
            except AegisError as error:
                click.echo(f"warning: an escrow is not used: {error}", err=True)
                continue
            if one.system == system:
                found.append(one)
    except AegisError as error:
        click.echo(f"warning: escrows cannot be read: {error}", err=True)
    return max(found, key=lambda one: one.written, default=None)
