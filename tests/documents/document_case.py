"""Loads a text as the documents of a small valid system, and tells what is found in the form of the cases."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from aegis_plan.documents.load import load
from aegis_plan.errors import DocumentsError

BASE = """\
aegis: v1
system: {name: demo, timezone: Asia/Seoul}
tiers: {1: {name: critical}, 2: {name: important}}
sites: {seoul: {role: primary}}
stores:
  main-db:
    engine: postgresql
    members: {seoul-1: {site: seoul, connection: "${env:MAIN_DB}"}}
    backup: {repositories: [local], full: {schedule: "0 2 * * 0", retain: 4 weeks}}
repositories: {local: {kind: local, site: seoul, path: /var/lib/aegis}}
sealing: {recovery_recipient: age1fsg6h86qrn530c9pyzepra0z5h86gj3cywaq4s2f0zat5vksmcjqvh4cpv}
"""


@cache
def _folder(with_base: bool) -> tuple[tempfile.TemporaryDirectory[str], Path]:
    """A folder for all cases: making and removing one for each costs more than reading it."""
    folder = tempfile.TemporaryDirectory()
    if with_base:
        Path(folder.name, "base.yaml").write_text(BASE)
    return folder, Path(folder.name)


def expected(text: str | bytes, with_base: bool = True) -> list[str]:
    """`code @ line:column | hint` of every problem; places in the base are told by its name."""
    _, folder = _folder(with_base)
    (folder / "case.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        load(folder)
    except DocumentsError as error:
        found = []
        for problem in error.problems:
            place = str(problem.position).removeprefix(f"{folder}/").removeprefix("case.yaml:")
            said = f"{problem.code} @ {place} | {problem.detail} | {problem.hint}"
            found.append(said.replace(f"{folder}/", "").rstrip(" |"))
        return found
    return []
