"""Finds the folders of runs on this host, by the documents here, a site file, or the site files in /etc/aegis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aegis_plan.errors import AegisError, DocumentsError, UsageError

if TYPE_CHECKING:
    from aegis_plan.plan.plan import Plan


def runs_folder(site_file: Path | None = None) -> Path:
    """The folder that holds the runs of this host.

    Raises UsageError `site-file-unclear` when nothing says which."""
    from aegis_plan.cli.documents import documents_folder
    from aegis_plan.cli.wire import load_documents, open_site, site_here
    from aegis_plan.documents.model import Documents, System
    from aegis_plan.documents.sites import readable_sites

    if site_file is not None:
        return open_site(site_file).folder / "runs"
    try:
        here = site_here(load_documents().documents)
    except DocumentsError:
        # A plan carries its documents: a run goes on though those of today are broken, or lack a variable.
        here = site_here(Documents(system=System(name="unread"), sites=readable_sites(documents_folder())))
    except UsageError:
        here = None
    if here is not None:
        return here.folder / "runs"
    found = sorted(Path("/etc/aegis").glob("*.yaml"))
    if len(found) == 1:
        return open_site(found[0]).folder / "runs"
    raise UsageError(
        "site-file-unclear",
        "nothing says where the runs of this host are",
        "there are no documents here, and /etc/aegis holds "
        + (f"{len(found)} site files" if found else "no site file"),
        "name it with --site-file FILE",
    )


def all_runs(folder: Path) -> list[str]:
    """Every run, oldest first."""
    return sorted(path.parent.name for path in folder.glob("*/plan.json"))


def find_run(folder: Path, name: str | None) -> Path:
    """The folder of a run: by id, by the beginning of its id, `last`; None is the newest that is not over.

    Raises UsageError `run-unknown`."""
    runs = all_runs(folder)
    if name is None:
        unfinished = [run for run in runs if not is_over(folder / run)]
        if unfinished:
            return folder / unfinished[-1]
        name = "last"
    if name == "last" and runs:
        return folder / runs[-1]
    found = [run for run in runs if run == name] or [run for run in runs if name and run.startswith(name)]
    if len(found) == 1:
        return folder / found[0]
    detail = f"'{name}' begins the names of {len(found)} runs" if found else f"there is no run '{name}' in {folder}"
    raise UsageError("run-unknown", "there is no such run", detail, "'aegis runs' lists the runs of this host")


def is_over(run: Path) -> bool:
    """Whether a run ended for good. One whose journal cannot be read is not over."""
    from aegis_plan.journal.file import read
    from aegis_plan.journal.replay import replay
    from aegis_plan.run.result import finished

    try:
        plan, _ = plan_of(run)
        state = replay(read(run))
        # One that was refused before it began has steps left and is over all the same.
        return state.ended is not None or finished(plan, state)
    except AegisError:
        return False


def plan_of(run: Path) -> tuple[Plan, str]:
    """The plan of a run and its digest."""
    from aegis_plan.cli.show import read_plan

    return read_plan(run / "plan.json")


def require_step(run: Path, step: str) -> None:
    """Raises UsageError `step-unknown` when the plan of there is no such step."""
    from aegis_plan.documents.nearest import meant

    plan, _ = plan_of(run)
    names = [one.id for one in plan.steps]
    if step in names:
        return
    raise UsageError(
        "step-unknown",
        "there is no such step",
        f"there is no step '{step}' in run {run.name}",
        meant(step, names, "its steps: " + ", ".join(names)),
    )
