"""Where the documents of this invocation are."""

from __future__ import annotations

import re
from pathlib import Path

import click

from aegis_plan.cli.session import Session
from aegis_plan.errors import UsageError

_SYSTEM = re.compile(rb"^system:", re.MULTILINE)


def documents_folder(path: Path | None = None, *, several: bool = False) -> Path:
    """`path`, else `plans/` in the current folder, else the current folder when documents lie in it.

    Raises UsageError `documents-not-found`, and `systems-several` unless `several` systems are all meant.
    """
    made = _made() if path is None else None
    if made is not None:
        return made
    if path is not None:
        if path.exists():
            return path if several else _one(path)
        looked = f"{path} does not exist"
    else:
        here = Path.cwd()
        if (here / "plans").is_dir():
            return here / "plans" if several else _one(here / "plans")
        if any(here.glob("*.yaml")) or any(here.glob("*.yml")):
            return here
        looked = f"there is no folder plans and no YAML file in {here}"
    raise UsageError(
        "documents-not-found",
        "there are no documents here",
        looked,
        "go to the folder that holds them (aegis -C DIR ...), or begin with 'aegis init'",
    )


def _made() -> Path | None:
    """The folder that `--from` made for this invocation."""
    context = click.get_current_context(silent=True)
    session = context.find_object(Session) if context is not None else None
    return session.plans if session is not None else None


def _one(folder: Path) -> Path:
    """The folder, unless folders below it hold a system each: read as one they would contradict each other."""
    if not folder.is_dir() or any(folder.glob("*.yaml")) or any(folder.glob("*.yml")):
        return folder
    found = [
        below for below in sorted(folder.iterdir()) if below.is_dir() and any(map(_declares, below.glob("*.y*ml")))
    ]
    if len(found) < 2:
        return folder
    raise UsageError(
        "systems-several",
        "several systems are declared here",
        f"each of {', '.join(below.name for below in found)} in {folder} has a section 'system'",
        f"go to the one that is meant: aegis -C {found[0]} ...",
    )


def _declares(file: Path) -> bool:
    try:
        return _SYSTEM.search(file.read_bytes()) is not None
    except OSError:
        return False  # reading it tells why
