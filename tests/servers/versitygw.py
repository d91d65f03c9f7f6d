"""A VersityGW server over a folder, built from its Go module."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import ports, program, unavailable
from tests.servers.bucket import S3Server


@contextmanager
def run(folder: Path) -> Iterator[S3Server]:
    """The server for the length of the block."""
    gateway = program("versitygw", "github.com/versity/versitygw/cmd/versitygw")
    root, versions = folder / "root", folder / "versions"
    root.mkdir()
    versions.mkdir()
    try:
        os.setxattr(root, "user.aegis", b"1")
    except OSError:
        unavailable("versitygw needs a file system with extended attributes")
    (port,) = ports.free()
    access, secret = "test-access", "test-secret-of-the-gateway"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [gateway, "--port", f"127.0.0.1:{port}", "posix", "--versioning-dir", str(versions), str(root)],
            env={**os.environ, "ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret},
            stdout=log,
            stderr=log,
        )
    try:
        ports.wait(port, process)
        server = S3Server("versitygw", port, access, secret)
        server.make_bucket()
        yield server
    finally:
        ports.stop(process)


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run(tmp_path_factory.mktemp("versitygw")) as server:
        yield server
