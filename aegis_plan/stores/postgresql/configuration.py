"""Puts the configuration that a set keeps apart from the data directory back where it was, without ever replacing a
file, and keeps a copy beside from leading to the server that it is a copy of."""

from __future__ import annotations

import os
import re
from pathlib import Path

from aegis_plan.actions.contract import Context
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.model import StageParams
from aegis_plan.stores.postgresql.unpack import files


def put_back(
    context: Context,
    params: StageParams,
    tar: bytes,
    where: places.Layout,
    ids: tuple[int, int] | None,
    home: str,
) -> None:
    """Configuration that lived outside the data directory is written where it is missing, never over another. What
    was a link within it, `home` at the time, comes back as a file."""
    found = {Path("/") / path: data for path, data in files(tar)}
    main = next((path.parent for path in found if path.name == "postgresql.conf"), None)
    for outside, data in found.items():
        goal = outside
        if params.place.beside:
            # Files that the main one includes are found where they stand to it.
            near = main is not None and outside.is_relative_to(main)
            goal = where.staging / (outside.relative_to(main) if near and main is not None else outside.name)
        if home and outside.is_relative_to(home):
            goal = where.staging / outside.relative_to(home)
        if os.path.lexists(goal):
            continue
        try:
            goal.parent.mkdir(parents=True, exist_ok=True)
            context.mark("wrote", path=str(goal))
            handle = os.open(goal, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                if ids:
                    os.fchown(stream.fileno(), *ids)
            if goal.name == "postgresql.conf":
                _included(goal.parent, data, ids)
        except OSError as error:
            context.find(
                "warning",
                "configuration-not-written",
                "a configuration file that the server had is missing and could not be written",
                f"{goal}: {error.strerror}",
                "write it before the server starts; it is in the set as the object `config`",
            )


def _included(folder: Path, data: bytes, ids: tuple[int, int] | None) -> None:
    """A server does not start where a folder that its configuration includes is missing, and a set holds no empty
    ones."""
    for name in re.findall(rb"(?mi)^\s*include_dir\s*=?\s*'([^']+)'", data):
        # Only what lies within: a way up and out would make a folder beside, where nothing of ours belongs.
        inside = Path(os.path.normpath(folder / os.fsdecode(name)))
        if inside.is_relative_to(folder) and not os.path.lexists(inside):
            inside.mkdir(mode=0o700, parents=True)
            if ids:
                os.chown(inside, *ids)


def lead_to_itself(where: places.Layout, ids: tuple[int, int] | None) -> None:
    """A copy beside must not lead to the server that it is a copy of: a configuration that names its data directory
    would start that one. The last line of a setting counts."""
    path = where.staging / "postgresql.conf"
    if not path.exists():
        return
    text = path.read_text("utf-8", "surrogateescape")
    lines = [f"data_directory = '{_quoted(where.final)}'"] if re.search(r"(?mi)^\s*data_directory\b", text) else []
    if re.search(r"(?mi)^\s*external_pid_file\b", text):
        lines.append("external_pid_file = ''")
    for setting, name in (("hba_file", "pg_hba.conf"), ("ident_file", "pg_ident.conf")):
        if re.search(rf"(?mi)^\s*{setting}\b", text) and (where.staging / name).exists():
            lines.append(f"{setting} = '{_quoted(where.final / name)}'")
    if lines:
        added = "\n".join(
            ["", "# Added by the restore beside: nothing leads to the server that this is a copy of.", *lines]
        )
        path.write_text(text + added + "\n", "utf-8", "surrogateescape")
        if ids:
            os.chown(path, *ids)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
