"""What makes a folder the working folder of a machine that stands in for a site: which site, with which key, and under
which address it reads the repository it was given. The documents themselves stay as they were published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from aegis_plan.cli.session import Session
from aegis_plan.documents.model import Documents, LocalRepository, Repository
from aegis_plan.errors import AegisError

NAME = "stand-in.json"
_REPOSITORY: TypeAdapter[Repository] = TypeAdapter(Repository)


class StandIn(BaseModel):
    """The file beside the folder `plans`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    complete: bool = False
    """Whether the folder was made to its end."""
    address: str
    system: str = ""
    site: str = ""
    repository: str = ""
    """What the documents call the repository at that address."""
    declared: dict[str, Any] = {}
    """How it is reached from here."""
    number: int = 0
    revision: str = ""
    signers: dict[str, tuple[str, ...]] = {}
    variables: dict[str, str] = {}
    durations: tuple[dict[str, Any], ...] = ()


def of(plans: Path) -> StandIn | None:
    """That of the folder that holds `plans`; None where no machine stands in.

    Raises AegisError `stand-in-unreadable`."""
    path = plans.absolute().parent / NAME
    if not path.exists():
        return None
    try:
        return StandIn.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise AegisError(
            "stand-in-unreadable",
            "the working folder of a bare machine cannot be used",
            f"{path}: {getattr(error, 'strerror', None) or 'it is not what was written'}",
            "remove the folder and begin anew with --from",
        ) from None


def site_file(plans: Path, standin: StandIn) -> Path:
    """Where the site file of the site lies for which this machine stands in."""
    return plans.absolute().parent / "site" / f"{standin.site}.yaml"


def applied(documents: Documents, plans: Path, standin: StandIn) -> Documents:
    """The documents as this machine works with them: it is the site, and knows its way to the repository."""
    sites, repositories = dict(documents.sites), dict(documents.repositories)
    if standin.site in sites:
        sites[standin.site] = sites[standin.site].model_copy(
            update={"file": str(site_file(plans, standin)), "reach": "local"}
        )
    if standin.repository in repositories:
        repositories[standin.repository] = _REPOSITORY.validate_python(standin.declared)
    return documents.model_copy(update={"sites": sites, "repositories": repositories})


def elsewhere(name: str, declared: Repository, standin: StandIn) -> str:
    """Why a repository is not on this machine though its folder could be made here; empty when it may be."""
    if not isinstance(declared, LocalRepository) or name == standin.repository or Path(declared.path).is_dir():
        return ""
    return f"it is a folder of the host of {declared.site}, and this machine only stands in"


def here() -> tuple[Path, StandIn] | None:
    """Folder and stand-in of this invocation: what `--from` made, or the present folder where an earlier one did."""
    context = click.get_current_context(silent=True)
    session = context.find_object(Session) if context is not None else None
    plans = session.plans if session is not None and session.plans is not None else Path.cwd() / "plans"
    found = of(plans)
    return (plans, found) if found is not None else None
