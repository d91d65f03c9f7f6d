"""Azurite from npm, with a judge before it that refuses what Azure refuses and Azurite takes: wrong and missing
checksums, ids of blocks that differ in length, blocks that were never sent.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from aegis_plan.documents.model import AzureRepository as Declared
from aegis_plan.repositories.azure import AzureRepository
from tests.servers import ports, unavailable
from tests.servers.unruly import Refusal, Request, before

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key of every Azurite, published with it."""
CONTAINER = "aegis-tests"
PACKAGE = "azurite@3"
_COUNT = itertools.count()


@dataclass(frozen=True)
class AzureServer:
    """A running server, seen through its judge."""

    port: int
    behind: int
    """The port of Azurite itself."""
    kind: str = "azurite"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def connection(self) -> str:
        return f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"

    def at(self, port: int) -> AzureServer:
        """The same server seen through another proxy."""
        return replace(self, port=port)

    def declared(self, container: str = CONTAINER, **more: object) -> Declared:
        """A repository in one of its containers, as documents would declare it."""
        form = {"kind": "azure", "container": container, "part_size": 1 << 20, **more}
        if not {"connection", "sas", "account_key"} & form.keys():
            form["connection"] = self.connection
        return Declared.model_validate(form)

    def repository(
        self, prefix: str = "", *, connect_seconds: float = 10.0, read_seconds: float = 60.0, **more: object
    ) -> AzureRepository:
        """A repository below `prefix`, or below a new one, in the server's one container."""
        declared = self.declared(prefix=prefix or f"p{next(_COUNT)}-{uuid.uuid4().hex[:10]}", **more)
        return AzureRepository(
            self.kind, declared, lambda text: text, connect_seconds=connect_seconds, read_seconds=read_seconds
        )

    def signature(self, rights: str) -> str:
        """A shared access signature of the container with some rights: `r`ead, `a`dd, `c`reate, `w`rite, `d`elete,
        `l`ist."""
        from datetime import UTC, datetime, timedelta

        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        return str(
            generate_container_sas(
                ACCOUNT,
                CONTAINER,
                account_key=KEY,
                permission=ContainerSasPermissions.from_string(rights),
                expiry=datetime.now(UTC) + timedelta(hours=1),
            )
        )

    def make_container(self) -> None:
        made = self.repository()
        made.container.create_container()
        made.close()


class Judge:
    """Answers as Azure does where Azurite is too kind."""

    def __init__(self) -> None:
        self._sent: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Refusal | None:
        if request.method != "PUT":
            return None
        part = request.asked("comp")
        if part in ("", "block") and not request.asked("restype"):
            said = request.headers.get("Content-MD5")
            if said is None and request.body:
                # Azure would take it; nothing of ours may go without.
                return Refusal(400, "MissingContentMD5OfTheTests")
            if said is not None and base64.b64decode(said) != hashlib.md5(request.body).digest():
                return Refusal(400, "Md5Mismatch")
        with self._lock:
            sent = self._sent.setdefault(request.place, set())
            if part == "block":
                block = request.asked("blockid")
                if sent and len(next(iter(sent))) != len(block):
                    return Refusal(400, "InvalidBlobOrBlock")
                sent.add(block)
            if part == "blocklist":
                listed = re.findall(r"<(?:Latest|Uncommitted)>([^<]*)<", request.body.decode())
                if not set(listed) <= sent:
                    return Refusal(400, "InvalidBlockList")
        return None


def _program() -> Path:
    """The start file of Azurite, installed once into the user's cache."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        unavailable("Azurite needs node and npm, and they are not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aegis-tests" / "azurite"
    start = cache / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / ".complete").exists():
            done = subprocess.run(
                [npm, "install", "--prefix", str(cache), PACKAGE, "--no-audit", "--no-fund", "--loglevel=error"],
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            if done.returncode != 0 or not start.exists():
                unavailable(f"Azurite cannot be installed: {done.stderr.strip()[-200:]}")
            (cache / ".complete").touch()
    return start


@contextmanager
def run() -> Iterator[AzureServer]:
    """The server for the length of the block, with its one container."""
    start = _program()
    folder = Path(tempfile.mkdtemp(prefix="azurite-"))
    (port,) = ports.free()
    command = [
        "node", str(start), "--silent", "--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", str(port),
        "--skipApiVersionCheck", "--disableTelemetry",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        ports.wait(port, process)
        with before(port, Judge()) as judged:
            server = AzureServer(judged.port, port)
            server.make_container()
            yield server
    finally:
        ports.stop(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzureServer]:
    with run() as server:
        yield server
