"""Addresses as people type them, and runs that somebody else mirrored: what nobody signed is looked at and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_plan.cli.mirroredruns import bring, require_vouched
from aegis_plan.errors import AegisError, UsageError
from aegis_plan.journal.mirrored import fetch, runs, signed
from aegis_plan.repositories import keys
from aegis_plan.repositories.address import declared
from aegis_plan.repositories.contract import Listed
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.sealing.keys import new_identity, new_signing_key


def test_addresses() -> None:
    folder = declared("file:///mnt/a%20disk", "seoul")
    assert (folder.kind, folder.path, folder.site) == ("local", "/mnt/a disk", "seoul")
    bucket = declared("s3://aegis-dr/a/b?endpoint=http://h:9000&region=r&path_style=true")
    assert (bucket.kind, bucket.bucket, bucket.prefix) == ("s3", "aegis-dr", "a/b")
    assert (bucket.endpoint, bucket.region, bucket.path_style) == ("http://h:9000", "r", True)
    blob = declared("azure://acc/box/deep/er", environment={})
    assert (blob.kind, blob.account, blob.container, blob.prefix) == ("azure", "acc", "box", "deep/er")
    assert blob.connection == ""
    named = declared("azure://acc/box", environment={"AZURE_STORAGE_CONNECTION_STRING": "x"})
    assert named.kind == "azure"
    assert named.connection == "${env:AZURE_STORAGE_CONNECTION_STRING}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3://",
        "azure://acc",
        "file://host/x",
        "ftp://x/y",
        "s3://b?colour=red",
        "s3://key:secret@b/p",
        "s3://[",
        "s3://b?x",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        declared(text, environment={})
    assert refused.value.code == "address-invalid"
    assert "secret" not in str(refused.value)


def mirrored(folder: Path, run: str, plan: bytes, lines: list[bytes], recipient: str) -> LocalRepository:
    """A repository that mirrors a run in two objects, sealed to the recipient."""
    import pyrage

    repository = LocalRepository("one", folder)

    def put(key: str, data: bytes) -> None:
        repository.put(key, pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(recipient)]))

    put(keys.run_plan("tiny", run), plan)
    put(keys.run_entries("tiny", run, 1, 2), lines[0])
    put(keys.run_entries("tiny", run, 3, 3), lines[1])
    return repository


def test_a_run_comes_back_with_its_signature(tmp_path: Path) -> None:
    secret, recipient = new_identity()
    key, signer = new_signing_key()
    rogue, _ = new_signing_key()
    run = "20261124T100000Z-abcdef"

    def sign(data: bytes, number: int, with_key: bytes = key, name: str = run) -> bytes:
        return signed(data, name, number, "seoul", with_key)

    cases = {
        "good": (sign(b"plan\n", 0), [sign(b"a\nb", 1), sign(b"c", 3)], True),
        "no signature": (b"plan\n", [b"a\nb", b"c"], False),
        "another signer": (sign(b"plan\n", 0), [sign(b"a\nb", 1, rogue), sign(b"c", 3)], False),
        "another run's": (sign(b"plan\n", 0, name="other"), [sign(b"a\nb", 1), sign(b"c", 3)], False),
        "another place": (sign(b"plan\n", 0), [sign(b"a\nb", 2), sign(b"c", 3)], False),
    }
    for label, (plan, lines, good) in cases.items():
        repository = mirrored(tmp_path / label, run, plan, lines, recipient)
        (found,) = runs(repository, "tiny").values()
        got = fetch(repository, "tiny", run, found, [secret], {"seoul": signer})
        assert (got.plan.rstrip(b"\n"), got.lines, got.signed) == (b"plan", (b"a", b"b", b"c"), good), label
        place = tmp_path / "runs" / label
        bring(place, repository, "tiny", [secret], {"seoul": (signer,)})
        assert (place / run / "journal.jsonl").read_bytes() == b"a\nb\nc\n"
        if good:
            require_vouched(place / run)
            require_vouched(place / run)  # from now on it is this machine's
            (place / run / "journal.jsonl").write_bytes(b"a\nb\nc\nd\n")
            bring(place, repository, "tiny", [secret], {"seoul": (signer,)})
            assert (place / run / "journal.jsonl").read_bytes().endswith(b"d\n"), "what went on here stays"
        else:
            with pytest.raises(AegisError) as refused:
                require_vouched(place / run)
            assert refused.value.code == "run-unvouched"
            assert json.loads((place / run / "mirrored.json").read_text())["signed"] is False


def test_a_name_that_leaves_the_folder_is_no_run(tmp_path: Path) -> None:
    """In a bucket an object can have any name."""

    class Bucket(LocalRepository):
        def listing(self, prefix: str) -> Iterator[Listed]:
            for run in ("..", ".", "a\\b", ".hidden", "20261124T100000Z-abcdef"):
                yield Listed(keys.run_plan("tiny", run), 1, "")

    assert list(runs(Bucket("one", tmp_path), "tiny")) == ["20261124T100000Z-abcdef"]
