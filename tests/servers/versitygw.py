"""A VersityGW server over a folder, built from its Go module."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import ports, program, unavailable
from tests.servers.bucket import BUCKET, S3Server

WRITER = ("test-writer", "test-secret-of-the-writer")
"""Keys of an account that reads and writes in the bucket, and may not remove."""
PRUNER = ("test-pruner", "test-secret-of-the-pruner")
"""Keys of an account that reads and removes there, and may not write."""
LOCKED = "aegis-locked"
"""A bucket with Object Lock."""
_SEES = ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"]


def _accounts(gateway: str, server: S3Server) -> None:
    for access, secret in (WRITER, PRUNER):
        subprocess.run(
            [gateway, "admin", "--access", server.access, "--secret", server.secret, "--endpoint-url", server.endpoint,
             "create-user", "--access", access, "--secret", secret, "--role", "user"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    bucket = f"arn:aws:s3:::{BUCKET}"
    writes = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    removes = ["s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion", *writes[2:]]
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": who}, "Action": actions, "Resource": where}
        for who, actions, where in (
            ([WRITER[0]], writes, f"{bucket}/*"),
            ([PRUNER[0]], removes, f"{bucket}/*"),
            ([WRITER[0], PRUNER[0]], _SEES, bucket),
        )
    ]
    repository = server.repository()
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    repository.client.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
    repository.client.put_bucket_policy(Bucket=BUCKET, Policy=policy)
    repository.close()


@contextmanager
def run(folder: Path) -> Iterator[S3Server]:
    """The server for the length of the block."""
    gateway = program("versitygw", "github.com/versity/versitygw/cmd/versitygw")
    root, versions, accounts = folder / "root", folder / "versions", folder / "accounts"
    for made in (root, versions, accounts):
        made.mkdir()
    try:
        os.setxattr(root, "user.aegis", b"1")
    except OSError:
        unavailable("versitygw needs a file system with extended attributes")
    (port,) = ports.free()
    access, secret = "test-access", "test-secret-of-the-gateway"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                gateway,
                "--port",
                f"127.0.0.1:{port}",
                "--iam-dir",
                str(accounts),
                "posix",
                "--versioning-dir",
                str(versions),
                str(root),
            ],
            env={**os.environ, "ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret},
            stdout=log,
            stderr=log,
        )
    try:
        ports.wait(port, process)
        server = S3Server("versitygw", port, access, secret)
        server.make_bucket()
        _accounts(gateway, server)
        yield server
    finally:
        ports.stop(process)


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run(tmp_path_factory.mktemp("versitygw")) as server:
        yield server
