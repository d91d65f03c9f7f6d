"""Whether this host offers the place of a restore: the folder, the programs, the room. It only looks."""

from __future__ import annotations

import os
import re
from pathlib import Path

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.control import check_control, declared_server
from aegis_plan.stores.postgresql.model import StageParams
from aegis_plan.stores.programs import execute


def check_host(context: Context, params: StageParams) -> None:
    """Refuses a place that this host cannot offer, before anything is fetched.

    Raises AegisError `place-not-here`, `binaries-wrong-version`, `place-occupied`, `place-is-mount-point`,
    `mount-within`."""
    place, where = params.place, places.layout(params.place)
    if not where.final.parent.is_dir():
        raise AegisError(
            "place-not-here",
            "the place of the restore is not on this host",
            f"{where.final.parent} is no folder at site {context.attempt.site}",
            "make the folder, or restore at the site whose host has it",
        )
    _, version, _ = execute([f"{place.binaries}/postgres", "--version"])
    major = re.search(r"\) (\d+)", version)
    wanted = params.lineage.rpartition("-")[2]
    if not major or major.group(1) != wanted:
        raise AegisError(
            "binaries-wrong-version",
            "the binaries at the place are of another major version",
            f"{place.binaries}: {version.strip() or 'no answer'}; the backup is of version {wanted}",
            f"install PostgreSQL {wanted} and let `binaries` point to it",
        )
    if place.beside is not None and places.occupied(where.final):
        raise AegisError(
            "place-occupied", "the place beside is not empty", str(where.final), "name a folder that does not exist"
        )
    if place.member is not None:
        check_control(declared_server(context, params.store, place.member))
    if place.beside is not None and places.mounted(where.final):
        raise AegisError(
            "place-is-mount-point",
            "the place beside is a mount point, which no folder can be renamed to",
            str(where.final),
            "name a folder below it that does not exist",
        )
    within = [] if place.beside is not None else places.mounted_within(where.final)
    if within:
        raise AegisError(
            "mount-within",
            "a folder within the data directory is a mount point of its own, which cannot be moved aside",
            ", ".join(within),
            "stop the server, mount it elsewhere and put a link to it in its place; or restore --beside a folder",
        )


def check_room(params: StageParams) -> None:
    """Refuses a place without room. Raises AegisError `no-space`."""
    where = places.layout(params.place)
    free = places.free_bytes(where)
    if params.need_bytes is not None and free < params.need_bytes:
        raise AegisError(
            "no-space",
            "there is not enough room for the restored data",
            f"{params.need_bytes} bytes are needed beside {where.final}, {free} are free",
            "make room, or restore beside on another disk",
        )


def free_tablespace(params: StageParams, oid: str, location: str) -> tuple[Path, Path]:
    """Where a tablespace is staged and where it is served from. Raises AegisError `tablespace-occupied`,
    `tablespace-is-mount-point`."""
    staged = places.tablespace_staging(params.place, oid, location)
    final = places.tablespace_final(params.place, oid, location)
    old = Path(params.place.data_directory) / "pg_tblspc" / oid
    own = old.is_symlink() and os.path.realpath(old) == os.path.realpath(final)
    if (places.occupied(final) and not own) or (staged != final and places.occupied(staged)):
        raise AegisError(
            "tablespace-occupied",
            "the folder of a tablespace holds data that this restore may not touch",
            f"tablespace {oid} at {final}",
            "it may belong to a running server; when it was the lost server's, move it away, then try again",
        )
    if staged != final and places.mounted(final):
        raise AegisError(
            "tablespace-is-mount-point",
            "the folder of a tablespace is a mount point, which cannot be moved aside",
            f"tablespace {oid} at {final}",
            "restore --beside a folder; or mount that disk higher up, and keep the tablespace in a folder on it",
        )
    return staged, final
