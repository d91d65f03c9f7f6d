"""A bucket with Object Lock: what is locked outlives everyone, and what a rogue hides or puts over it is told and read
around."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from aegis_plan.errors import AegisError
from aegis_plan.repositories.contract import read
from aegis_plan.repositories.s3 import S3Repository
from tests.servers.bucket import S3Server
from tests.servers.versitygw import LOCKED, versitygw

__all__ = ["versitygw"]

DATA = b"the bytes that count" * 400_000


@pytest.fixture
def repository(versitygw: S3Server) -> Iterator[S3Repository]:
    prefix = f"lock-{datetime.now(UTC).timestamp()}"
    declared = versitygw.declared(LOCKED, prefix=prefix, object_lock={"mode": "compliance"})
    made = S3Repository("locked", declared, lambda text: text)
    yield made
    made.close()


def write(repository: S3Repository, key: str) -> None:
    upload = repository.open(key)
    upload.write(DATA)
    upload.commit(hashlib.sha256(DATA).hexdigest())


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=5)


def code_of(repository: S3Repository, key: str) -> str:
    with pytest.raises(AegisError) as caught:
        repository.delete(key)
    return caught.value.code


def test_what_is_locked_is_not_removed_and_not_hidden(repository: S3Repository) -> None:
    write(repository, "a/large")
    repository.put("a/free", b"free")
    repository.keep("a/large", soon())
    repository.keep("a/large", soon() - timedelta(minutes=1))
    assert code_of(repository, "a/large") == "object-locked"
    assert list(repository.tampered("")) == [], "the failed delete left no marker"
    repository.delete("a/free")
    assert repository.head("a/free") is None
    assert [one.key for one in repository.listing("a/")] == ["a/large"]
    assert read(repository, "a/large") == DATA


def test_without_locks_declared_a_delete_that_only_hides_is_not_believed(
    versitygw: S3Server, repository: S3Repository
) -> None:
    plain = S3Repository(
        "plain", versitygw.declared(LOCKED, prefix=repository.full_key("").rstrip("/")), lambda text: text
    )
    plain.put("kept", b"kept")
    repository.keep("kept", soon())
    assert code_of(plain, "kept") == "object-locked"
    assert read(plain, "kept") == b"kept"
    plain.put("gone", b"gone")
    plain.delete("gone")
    assert list(repository.listing("")) == [next(iter(repository.listing("kept")))]
    with pytest.raises(AegisError) as caught:
        plain.keep("kept", soon())
    assert caught.value.code == "object-lock-unavailable"
    plain.close()


def test_a_rogue_hides_and_overwrites(repository: S3Repository) -> None:
    for key in ("r/hidden", "r/over", "r/fine"):
        write(repository, key)
        repository.keep(key, soon())
    client, bucket = repository.client, repository.bucket
    client.delete_object(Bucket=bucket, Key=repository.full_key("r/hidden"))
    client.put_object(Bucket=bucket, Key=repository.full_key("r/over"), Body=b"forged")
    assert [one.key for one in repository.listing("r/")] == ["r/fine", "r/hidden", "r/over"]
    for key in ("r/hidden", "r/over", "r/fine"):
        head = repository.head(key)
        assert head is not None
        assert head.size == len(DATA)
        assert read(repository, key) == DATA
        assert b"".join(repository.get(key, 5, 10)) == DATA[5:15]
    told = dict(repository.tampered("r/"))
    assert set(told) == {"r/hidden", "r/over"}
    assert "marker" in told["r/hidden"]
    assert "over it" in told["r/over"]


def test_a_lease_in_such_a_bucket(repository: S3Repository) -> None:
    tag = repository.compare_and_set("state/lease", None, b"1")
    second = repository.compare_and_set("state/lease", tag, b"2")
    assert repository.read_tagged("state/lease") == (b"2", second)
    with contextlib.suppress(AegisError):
        repository.compare_and_set("state/lease", tag, b"3")
    assert repository.read_tagged("state/lease") == (b"2", second)
