"""A Milvus Lite file, opened in this process: no port is opened for it, and its lock keeps every other program out.

A file that another program has open is refused, never read behind its back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.stores.milvus.connection import Connection, RefusedError, number

OLDEST = (3, 2, 1)
"""Older ones give pages that are not in the order of the keys, and so lose and repeat rows."""
LOCK = "LOCK"


def installed() -> str | None:
    """The version of Milvus Lite that is installed here."""
    try:
        return metadata.version("milvus-lite")
    except metadata.PackageNotFoundError:
        return None


def too_old(version: str) -> bool:
    """Whether a version of Milvus Lite loses rows."""
    return number(version) < OLDEST


def needs(where: str) -> None:
    """Raises AegisError `milvus-lite-missing` or `milvus-lite-too-old`."""
    version = installed()
    if version is None:
        raise AegisError(
            "milvus-lite-missing",
            "Milvus Lite is not installed where the tool runs",
            f"{where}: without it nothing opens its file",
            "pip install 'milvus-lite>=3.2.1'",
        )
    if too_old(version):
        raise refused_version(where, version)


def refused_version(where: str, version: str) -> AegisError:
    return AegisError(
        "milvus-lite-too-old",
        "this version of Milvus Lite loses rows when it is read page by page",
        f"{where}: {version}; the first that does not is {'.'.join(str(part) for part in OLDEST)}",
        "pip install --upgrade milvus-lite",
    )


def is_database(path: str) -> bool:
    """Whether a Milvus Lite database lies there."""
    return (Path(path) / LOCK).is_file()


def is_open(path: str) -> bool:
    """Whether a program has it open, seen without touching its lock."""
    try:
        found = os.stat(Path(path) / LOCK)
        held = Path("/proc/locks").read_text()
    except OSError:
        return False
    name = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return any("FLOCK" in line and name in line.split() for line in held.splitlines())


def born(path: str) -> int:
    """When it was made, in nanoseconds: its lock file is written once."""
    return os.stat(Path(path) / LOCK).st_mtime_ns


def open_file(where: str, path: str, database: str, check: Callable[[], None], *, create: bool) -> Connection:
    """Opens the file for ourselves alone.

    Raises AegisError `milvus-lite-missing`, `milvus-lite-too-old`, UnavailableError `milvus-lite-open`,
    `milvus-lite-not-there`."""
    needs(where)
    if not create and not is_database(path):
        raise UnavailableError(
            "milvus-lite-not-there",
            "there is no Milvus Lite database at that path",
            f"{where}: {path}",
            "check `connection`; its folder is made by the first program that opens it",
        )
    engine = import_module("milvus_lite.db")
    servicer = import_module("milvus_lite.adapter.grpc.servicer").MilvusServicer
    try:
        opened = engine.MilvusLite(path)
    except import_module("milvus_lite.exceptions").DataDirLockedError:
        raise UnavailableError(
            "milvus-lite-open",
            "another program has the Milvus Lite database open",
            f"{where}: {path}",
            "end that program, or let it serve the file with `milvus-lite server` and name its address instead",
        ) from None
    except OSError as error:
        raise UnavailableError(
            "milvus-lite-not-there",
            "there is no Milvus Lite database at that path",
            f"{where}: {path}: {error.strerror}",
            "check `connection` and who may read and write it",
        ) from None
    calls, metadata = servicer(opened), (("dbname", database),)

    def send(method: str, request: Any, seconds: float) -> Any:
        caller = _Caller(metadata)
        try:
            return getattr(calls, method)(request, caller)
        except NotImplementedError:
            raise RefusedError(-12, method, where, f"Milvus Lite has no {method}") from None

    return Connection(where, database, send, opened.close, check, exclusive=True)


class _Caller:
    """What the functions of a server expect to know of who calls."""

    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def set_code(self, code: Any) -> None:
        """Its answers say the same."""

    def set_details(self, details: str) -> None:
        """Its answers say the same."""
