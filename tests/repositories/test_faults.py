"""The fault suite of repositories on real servers behind proxies, and what only one kind of them can be asked."""

from __future__ import annotations

import pytest

from aegis_plan.errors import AegisError
from tests.conformance.faults import FaultSuite
from tests.servers.azurite import AzureServer, azurite
from tests.servers.bucket import S3Server
from tests.servers.toxiproxy import toxiproxy
from tests.servers.versitygw import versitygw

__all__ = ["azurite", "toxiproxy", "versitygw"]


class TestVersityGW(FaultSuite):
    @pytest.fixture
    def server(self, versitygw: S3Server) -> S3Server:
        return versitygw


class TestAzurite(FaultSuite):
    @pytest.fixture
    def server(self, azurite: AzureServer) -> AzureServer:
        return azurite


@pytest.mark.parametrize("more", [{"secret_key": "wrong-secret-0123"}, {"access_key": "nobody"}])
def test_wrong_credentials_are_said_to_be_wrong(versitygw: S3Server, more: dict[str, str]) -> None:
    repository = versitygw.repository(**more)  # type: ignore[arg-type]  # fields of the document
    denied(repository, "wrong-secret")


@pytest.mark.parametrize(
    "more",
    [
        {"account_key": "d3Jvbmcgc2VjcmV0IG9mIHRoZSB0ZXN0cw==", "account": "devstoreaccount1"},
        {"sas": "sv=2025-01-05&sp=rwdl&sr=c&sig=d3Jvbmcgc2VjcmV0IG9mIHRoZSB0ZXN0cw%3D%3D"},
    ],
    ids=["key", "sas"],
)
def test_wrong_credentials_of_azure_are_said_to_be_wrong(azurite: AzureServer, more: dict[str, str]) -> None:
    denied(azurite.repository(endpoint=azurite.endpoint, **more), "d3Jvbmcg")


def denied(repository: object, secret: str) -> None:
    for ask in (
        lambda: repository.put("q", b"1"),  # type: ignore[attr-defined]  # either kind
        lambda: repository.head("q"),  # type: ignore[attr-defined]
        lambda: list(repository.listing("")),  # type: ignore[attr-defined]
        lambda: list(repository.get("q")),  # type: ignore[attr-defined]
    ):
        with pytest.raises(AegisError) as caught:
            ask()
        assert caught.value.code == "repository-denied"
        assert secret not in str(caught.value.as_data())
    repository.close()  # type: ignore[attr-defined]
