"""Proxies and private authorities between a site and its repositories, for S3 and for Azure."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aegis_plan.errors import AegisError
from aegis_plan.repositories.contract import read
from tests.servers.azurite import ACCOUNT, KEY, AzureServer, azurite
from tests.servers.bucket import S3Server
from tests.servers.unruly import before
from tests.servers.versitygw import versitygw

__all__ = ["azurite", "versitygw"]

DATA = b"bytes on the way" * 100_000
Make = Callable[..., Any]


@pytest.fixture(params=["s3", "azure"])
def server(request: pytest.FixtureRequest) -> tuple[int, Make]:
    """The port of a real server, and what makes a repository at an address there."""
    if request.param == "s3":
        gateway: S3Server = request.getfixturevalue("versitygw")

        def bucket(scheme: str, port: int, **more: object) -> Any:
            return gateway.repository(endpoint=f"{scheme}://127.0.0.1:{port}", **more)  # type: ignore[arg-type]

        return gateway.port, bucket
    azure: AzureServer = request.getfixturevalue("azurite")

    def container(scheme: str, port: int, **more: object) -> Any:
        address = f"{scheme}://127.0.0.1:{port}/{ACCOUNT}"
        connection = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={address};"
        return azure.repository(connection=connection, **more)  # type: ignore[arg-type]

    return azure.port, container


def test_through_a_proxy(server: tuple[int, Make]) -> None:
    port, make = server
    with before(port) as proxy:
        made = make("http", port, proxy=f"http://127.0.0.1:{proxy.port}")
        made.put("key", DATA)
        assert read(made, "key") == DATA
        assert proxy.seen > 0
        made.close()


def test_a_private_authority(server: tuple[int, Make], tmp_path: Path) -> None:
    port, make = server
    context, authority = own_certificate(tmp_path)
    with before(port, tls=context) as secure:
        made = make("https", secure.port, ca=str(authority))
        made.put("key", DATA)
        assert read(made, "key") == DATA
        made.close()
        stranger = make("https", secure.port)
        with pytest.raises(AegisError) as caught:
            stranger.put("key", DATA)
        assert caught.value.code == "repository-unreachable"
        assert "TLS" in caught.value.detail
        assert "`ca`" in caught.value.hint
        stranger.close()


def own_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS for 127.0.0.1, and the file that a client has to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
