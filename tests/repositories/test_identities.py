"""Separate identities to write, read and remove, on servers that keep them apart: a host has those whose secrets it
has, and who writes cannot delete."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

import pytest

from aegis_plan.errors import AegisError
from aegis_plan.repositories.azure import AzureRepository
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.permissions import permissions
from aegis_plan.repositories.s3 import S3Repository
from aegis_plan.requirement import exit_code
from tests.servers.azurite import CONTAINER, AzureServer, azurite
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.versitygw import PRUNER, WRITER, versitygw

__all__ = ["azurite", "versitygw"]

LARGE = os.urandom(7 << 20)


def having(*secrets: str) -> Callable[[str], str]:
    """Resolves texts that hold no secret, and those named."""

    def resolve(text: str) -> str:
        if text.startswith("secret-") and text not in secrets:
            raise AegisError("secret-unresolved", "a secret reference cannot be resolved", text, "")
        return text.removeprefix("secret-")

    return resolve


@pytest.fixture(params=["s3", "azure"])
def make(request: pytest.FixtureRequest) -> Callable[[Callable[[str], str]], tuple[Any, Any]]:
    """Makes the repository as a host sees it that resolves some secrets, with what is declared of it."""
    prefix = f"ids-{os.urandom(4).hex()}"
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("versitygw")
        pruner = {"access_key": PRUNER[0], "secret_key": f"secret-{PRUNER[1]}"}
        declared = server.declared(
            BUCKET, prefix=prefix, access_key=WRITER[0], secret_key=f"secret-{WRITER[1]}", prune=pruner, read=pruner
        )
        return lambda resolve: (S3Repository("s3", declared, resolve), declared)
    azure: AzureServer = request.getfixturevalue("azurite")
    pruner = {"sas": f"secret-{azure.signature('rdl')}"}
    said = azure.declared(
        CONTAINER, prefix=prefix, endpoint=azure.endpoint, sas=f"secret-{azure.signature('rcwl')}", prune=pruner,
        read=pruner,
    )  # fmt: skip
    return lambda resolve: (AzureRepository("azure", said, resolve), said)


def secrets_of(declared: Any) -> tuple[str, str]:
    field = "secret_key" if declared.kind == "s3" else "sas"
    return getattr(declared, field), getattr(declared.prune, field)


def write(repository: Repository, key: str) -> None:
    upload = repository.open(key)
    upload.write(LARGE)
    upload.commit(hashlib.sha256(LARGE).hexdigest())


def code_of(ask: Callable[[], object]) -> str:
    with pytest.raises(AegisError) as caught:
        ask()
    return caught.value.code


def test_a_host_that_backs_up_needs_only_the_identity_that_writes(make: Any) -> None:
    _, declared = make(having())
    writer, pruner = secrets_of(declared)
    host, _ = make(having(writer))
    write(host, "large")
    host.put("small", b"small")
    given_up = host.open("given-up")
    given_up.write(LARGE)
    given_up.abort()
    write(host, "given-up")
    tag = host.compare_and_set("state/lease", None, b"1")
    assert host.compare_and_set("state/lease", tag, b"2")
    assert [one.key for one in host.listing("")] == ["given-up", "large", "small", "state/lease"]
    assert code_of(lambda: host.delete("small")) == "repository-denied"
    if declared.kind == "s3":
        assert code_of(lambda: host.sweep("", -5)) == "repository-denied"
    assert read(host, "small") == b"small"
    assert host.writer_may_delete("small") is False
    assert read(host, "small") == b"small"
    other, _ = make(having(pruner))
    assert read(other, "large") == LARGE
    assert code_of(lambda: other.put("more", b"1")) in ("secret-unresolved", "repository-denied")
    other.delete("small")
    other.sweep("", -5)
    assert other.head("small") is None
    host.close()
    other.close()


def test_the_check_proves_that_who_writes_cannot_remove(make: Any) -> None:
    _, declared = make(having())
    made, _ = make(having(*secrets_of(declared)))
    found = {one.code: one for one in permissions(made, declared, "aegis", "seoul", write=True)}
    assert {one.state for one in found.values()} == {"ok"}, found
    assert "repository-writer-deletes" in found
    made.close()


def test_the_check_tells_of_a_writer_that_removes(versitygw: S3Server) -> None:
    pruner = {"access_key": PRUNER[0], "secret_key": PRUNER[1]}
    declared = versitygw.declared(BUCKET, prefix="ids-root", prune=pruner)
    made = S3Repository("s3", declared, lambda text: text)
    found = {one.code: one for one in permissions(made, declared, "aegis", "seoul", write=True)}
    assert found["repository-writer-deletes"].state == "missing"
    assert exit_code(found.values()) != 0
    assert list(made.listing("")) == []
    made.close()
