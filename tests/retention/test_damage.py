"""Each kind of damage of a copy is told as what it is, in a folder and on a real S3 server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aegis_plan.catalog.record import Checked, LogRecord, SetRecord
from aegis_plan.clock import new_id
from aegis_plan.documents.model import Sealing
from aegis_plan.errors import UnavailableError
from aegis_plan.repositories import keys, records
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.repositories.setwriter import SetWriter
from aegis_plan.repositories.verifying import Verifier
from aegis_plan.sealing.keys import new_data_key, new_identity, new_signing_key, wrap
from aegis_plan.sealing.signatures import digest
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.versitygw import versitygw

__all__ = ["versitygw"]

IDENTITY, RECIPIENT = new_identity()
SIGNING, PUBLIC = new_signing_key()
_, STRANGER = new_signing_key()
SIGNERS = {"seoul": PUBLIC}
BODY = b"policy " * 30_000


@dataclass
class Place:
    """A repository, and how somebody changes what lies there behind its back."""

    repository: Repository
    change: Callable[[str, bytes | None], None]

    def written(self) -> tuple[SetRecord, str]:
        """One whole set of two objects, each call another one."""
        key = new_data_key(f"{uuid.uuid4().hex[:8]}-F1")
        sealing = Sealing(recipients=(RECIPIENT,), recovery_recipient=RECIPIENT, signers=SIGNERS)
        self.repository.put(keys.data_key("s", "x", "l", key.name, 0), wrap(key, sealing, "seoul", SIGNING))
        with SetWriter(
            {"here": self.repository}, system="s", store="x", lineage="l", root=f"sets/{key.name}", key=key, level=1,
            stop=lambda: None, progress=lambda _done: None,
        ) as writer:  # fmt: skip
            writer.add("base", [BODY + key.name.encode()], volumes=True)
            writer.add("config", [b"port = 5432"], volumes=False)
            written = writer.finish()
        now = datetime.now(UTC)
        record = SetRecord(
            id=new_id(now), system="s", store="x", lineage="l", written=now, site="seoul", set=key.name,
            engine="postgresql", method="full", begun=now, ended=now, begin="1/0/1", end="1/0/2", not_before=now,
            not_after=now, key=key.name, objects=written.objects, run="r", tool="t",
        )  # fmt: skip
        assert records.write(record, "seoul", SIGNING, {"here": self.repository}) == {"here": None}
        return record, digest(record)

    def verify(self, record: SetRecord | LogRecord, mark: str, *, read_all: bool = True, identity: str = "") -> Checked:
        names = {stored.sealed_sha256: f"{stored.name} of {record.id}" for stored in record.objects}
        verifier = Verifier(self.repository, SIGNERS, names, (identity,) if identity else (), bool(identity))
        wanted = {stored.name for stored in record.objects} if read_all else set()
        return verifier.verify(record, mark, wanted=wanted, unvouched=not read_all)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        folder = LocalRepository("here", tmp_path / "repository")

        def change(key: str, data: bytes | None) -> None:
            path = tmp_path / "repository" / key
            path.unlink()
            if data is not None:
                path.write_bytes(data)

        yield Place(folder, change)
        return
    server: S3Server = request.getfixturevalue("versitygw")
    server.make_bucket()
    bucket = server.repository()

    def put(key: str, data: bytes | None) -> None:
        if data is None:
            bucket.client.delete_object(Bucket=BUCKET, Key=bucket.full_key(key))
        else:
            bucket.client.put_object(Bucket=BUCKET, Key=bucket.full_key(key), Body=data)

    yield Place(bucket, put)
    bucket.close()


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def test_a_whole_copy_passes_by_word_by_bytes_and_unsealed(place: Place) -> None:
    record, mark = place.written()
    by_word = place.verify(record, mark, read_all=False)
    assert (by_word.verdict, by_word.findings) == ("pass", ())
    by_bytes = place.verify(record, mark)
    assert by_bytes.verdict == "pass"
    assert set(by_bytes.read) == {stored.name for stored in record.objects}
    assert not by_bytes.opened
    assert place.verify(record, mark, identity=IDENTITY).opened


def test_each_damage_is_told_as_what_it_is(place: Place) -> None:
    record, mark = place.written()
    other, _ = place.written()
    base, config = (next(one for one in record.objects if one.name.startswith(name)) for name in ("base", "config"))
    foreign = next(one for one in other.objects if one.name == base.name)
    whole = {stored.key: read(place.repository, stored.key) for stored in record.objects}
    key = f"{keys.data_key_prefix('s', 'x', 'l', record.key)}0000.json"
    whole[key] = read(place.repository, key)
    place_of_record = keys.record("s", "x", "l", record.id)
    whole[place_of_record] = read(place.repository, place_of_record)
    cases: list[tuple[str, bytes | None, str]] = [
        (base.key, flipped(whole[base.key]), "other bytes"),
        (base.key, whole[base.key][:-10], "cut short"),
        (base.key, whole[base.key] + b"x", "longer"),
        (base.key, read(place.repository, foreign.key), "base"),
        (config.key, None, "config is missing"),
        (key, None, "no wrapped data key"),
        (key, flipped(whole[key]), "sign"),
        (key, read(place.repository, f"{keys.data_key_prefix('s', 'x', 'l', other.key)}0000.json"), "something else"),
        (place_of_record, None, "its record is not there"),
        (place_of_record, read(place.repository, keys.record("s", "x", "l", other.id)), "another one"),
    ]
    for changed, data, told in cases:
        place.change(changed, data)
        for identity in ("", IDENTITY):
            found = place.verify(record, mark, identity=identity)
            assert found.verdict == "fail", (changed, told)
            assert told in " ".join(found.findings), (told, found.findings)
        place.change(changed, whole[changed]) if data is not None else place.repository.put(changed, whole[changed])
    assert place.verify(record, mark).verdict == "pass"


def test_bytes_of_another_object_are_named(place: Place) -> None:
    record, mark = place.written()
    one, two = record.objects[0], record.objects[1]
    data = read(place.repository, two.key)
    verifier = Verifier(place.repository, SIGNERS, {two.sealed_sha256: f"{two.name} of {record.id}"})
    same_size = one.model_copy(update={"sealed_size": len(data)})
    place.change(one.key, data)
    damaged = record.model_copy(update={"objects": (same_size, two)})
    found = verifier.verify(damaged, mark, wanted={one.name}, unvouched=False)
    assert found.verdict == "fail"
    assert f"the bytes of {two.name}" in " ".join(found.findings)


def test_a_storage_that_does_not_answer_is_no_verdict(place: Place) -> None:
    record, mark = place.written()

    class Away:
        name = "here"

        def __getattr__(self, _name: str) -> object:
            raise UnavailableError("repository-unreachable", "a repository cannot be reached", "no route", "wait")

    found = Verifier(Away(), SIGNERS, {}).verify(record, mark, wanted=set(), unvouched=True)  # type: ignore[arg-type]
    assert found.verdict == "could_not_verify"


def test_a_record_of_an_unknown_signer_fails(place: Place) -> None:
    record, mark = place.written()
    found = Verifier(place.repository, {"seoul": STRANGER}, {}).verify(record, mark, wanted=set(), unvouched=False)
    assert found.verdict == "fail"
