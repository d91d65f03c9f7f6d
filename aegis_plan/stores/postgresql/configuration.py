"""Puts the configuration that a set keeps apart from the data directory back where it was. It never replaces a file."""

from __future__ import annotations

import os
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
    for path, data in files(tar):
        outside = Path("/") / path
        goal = where.staging / outside.name if params.place.beside else outside
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
        except OSError as error:
            context.find(
                "warning",
                "configuration-not-written",
                "a configuration file that the server had is missing and could not be written",
                f"{goal}: {error.strerror}",
                "write it before the server starts; it is in the set as the object `config`",
            )
