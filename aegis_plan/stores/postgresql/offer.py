"""Whether the place of a restore has what the backed-up server needs to run: libraries, extensions, configuration. It
only looks."""

from __future__ import annotations

import re
from pathlib import Path

from aegis_plan.actions.contract import Context
from aegis_plan.catalog.record import SetRecord
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.control import declared_server
from aegis_plan.stores.postgresql.model import StageParams
from aegis_plan.stores.programs import execute


def check_software(context: Context, params: StageParams, record: SetRecord) -> None:
    """Refuses a place without the libraries that the backed-up server preloads, and tells which of its extensions are
    missing, before anything is fetched. Raises AegisError `preload-library-missing`."""
    settings, extensions = record.details.get("settings") or {}, record.details.get("extensions") or {}
    check_libraries(params.place.binaries, listed(str(settings.get("shared_preload_libraries") or "")))
    share = _folder(params.place.binaries, "--sharedir")
    if share is None:
        return
    wanted = {name for found in extensions.values() for name in found}
    missing = sorted(name for name in wanted if not (share / "extension" / f"{name}.control").exists())
    if missing:
        context.find(
            "warning",
            "extension-missing",
            "extensions that the backed-up databases use are not installed at the place of the restore",
            f"{', '.join(missing)}, looked for in {share / 'extension'}",
            "the data comes back whole; install them, or what calls their functions fails",
        )


def check_configuration(context: Context, params: StageParams, where: places.Layout) -> None:
    """Refuses a restore in place whose server would find no configuration. Raises AegisError
    `configuration-missing`."""
    if params.place.member is None or (where.staging / "postgresql.conf").exists():
        return
    server = declared_server(context, params.store, params.place.member)
    if server.control != "pg_ctl":
        return  # what starts it knows where its configuration is
    named = re.search(r"config_file=(\S+)", server.options)
    if named is None or not Path(named.group(1).strip("'\"")).exists():
        raise AegisError(
            "configuration-missing",
            "the restored server would find no configuration",
            "the set holds no postgresql.conf"
            + (
                f", and {named.group(1)} is not on this host" if named else " and `server.options` names no config_file"
            ),
            "put the server's postgresql.conf and pg_hba.conf on this host and name them in `server.options` "
            "(-c config_file=PATH), then make a new plan; or restore --beside a folder",
        )


def listed(text: str) -> list[str]:
    """A list of libraries as a setting spells it."""
    return [name.strip().strip('"') for name in text.strip().split(",") if name.strip()]


def check_libraries(binaries: str, names: list[str]) -> None:
    """Raises AegisError `preload-library-missing`."""
    folder = _folder(binaries, "--pkglibdir") if names else None
    for name in names if folder is not None else []:
        plain = name.removeprefix("$libdir/")
        path = Path(plain) if plain.startswith("/") else Path(folder or "/") / plain
        if not path.exists() and not path.with_name(path.name + ".so").exists():
            raise library_missing(f"{name}, looked for in {path.parent}")


def library_missing(detail: str) -> AegisError:
    return AegisError(
        "preload-library-missing",
        "a library that the backed-up server preloads is missing on this host",
        detail,
        "install the package that has it for this major version, or name other `binaries` that have it, then make a "
        "new plan",
    )


def _folder(binaries: str, which: str) -> Path | None:
    """Where these binaries look for what they load; None where their pg_config is not there."""
    try:
        code, text, _ = execute([f"{binaries}/pg_config", which])
    except AegisError:
        return None
    return Path(text.strip()) if code == 0 and text.strip() else None
