"""Where the documents of this invocation are."""

from __future__ import annotations

from pathlib import Path

from aegis_plan.errors import UsageError


def documents_folder(path: Path | None = None) -> Path:
    """`path`, else `plans/` in the current folder, else the current folder when documents lie in it.

    Raises UsageError `documents-not-found`.
    """
    if path is not None:
        if path.exists():
            return path
        looked = f"{path} does not exist"
    else:
        here = Path.cwd()
        if (here / "plans").is_dir():
            return here / "plans"
        if any(here.glob("*.yaml")) or any(here.glob("*.yml")):
            return here
        looked = f"there is no folder plans and no YAML file in {here}"
    raise UsageError(
        "documents-not-found",
        "there are no documents here",
        looked,
        "go to the folder that holds them (aegis -C DIR ...), or begin with 'aegis init'",
    )
