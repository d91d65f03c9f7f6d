"""The names that a shell completes: what the documents declare, runs and their steps, rules of lint. It tells no error,
since a shell that completes a word shows none, and it looks at nothing but files of this host.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aegis_plan.documents.model import Documents

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _completing(names: Callable[[], Iterable[str]]) -> Complete:
    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        try:
            folder = ctx.find_root().params.get("folder")
            if folder:
                # The shell runs a process of its own for each completion.
                os.chdir(folder)
            return sorted({name for name in names() if name.startswith(incomplete)})
        except Exception:  # noqa: BLE001 - nothing is told in the middle of a line
            return []

    return complete


def _documents() -> Documents:
    from aegis_plan.cli.documents import documents_folder
    from aegis_plan.documents.load import load

    return load(documents_folder()).documents


def declared(*sections: str) -> Complete:
    """The names of one or more sections of the documents."""

    def names() -> Iterable[str]:
        documents = _documents()
        return [name for section in sections for name in getattr(documents, section)]

    return _completing(names)


def _members() -> Iterable[str]:
    return (member for store in _documents().stores.values() for member in store.members)


def _leases() -> Iterable[str]:
    return (f"{store}/{aspect}" for store in _documents().stores for aspect in ("data", "log"))


def _runs() -> Iterable[str]:
    from aegis_plan.cli.runfolder import all_runs, runs_folder

    return [*all_runs(runs_folder()), "last"]


def _steps() -> Iterable[str]:
    from aegis_plan.cli.runfolder import find_run, plan_of, runs_folder

    plan, _ = plan_of(find_run(runs_folder(), None))
    return [step.id for step in plan.steps]


def _rules() -> Iterable[str]:
    from aegis_plan.documents.lint.registry import IDS

    return IDS


members, leases, runs, steps, rules = map(_completing, (_members, _leases, _runs, _steps, _rules))
