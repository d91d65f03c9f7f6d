"""What a restore refuses before anything is touched: forged and lost records, wrong keys, impossible targets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest

from aegis_plan.catalog.record import ADAPTER
from aegis_plan.sealing.keys import new_signing_key
from aegis_plan.sealing.signatures import sign
from tests.thread.beside import rows_beside
from tests.thread.damage import REPOSITORIES, Protected, flat, private
from tests.thread.damage import protected as made_protected


@pytest.fixture(scope="module")
def it() -> Iterator[Protected]:
    with made_protected() as made:
        yield made


def path_of(one: dict[str, Any]) -> Path:
    return Path(f"records/{one['record']['id']}.json")


def put(it: Protected, body: dict[str, Any], signer: str, key: bytes, *repositories: str) -> None:
    """Writes a record as somebody would who can write to the repositories."""
    data, _ = sign(ADAPTER.validate_python(body), signer, key)
    for name in repositories or REPOSITORIES:
        it.write(it.store(name) / f"records/{body['id']}.json", data)


def test_a_target_before_the_first_backup(it: Protected) -> None:
    said = flat(it.refused("--to", "2020-01-01T00:00:00Z"))
    assert "target-before-first-backup" in said
    assert "2020-01-01T00:00:00.000Z is before 20" in said
    assert "possible:" in said


def test_a_target_after_the_last_log(it: Protected) -> None:
    said = flat(it.refused("--to", "2099-01-01T00:00:00Z"))
    assert "target-after-log" in said
    assert "possible:" in said
    assert "--to latest" in said
    assert "aegis backup" in said


def test_a_position_after_the_last_log(it: Protected) -> None:
    said = flat(it.refused("--to", "1/F/0"))
    assert "target-after-log" in said
    assert "possible:" in said


@pytest.mark.parametrize("to", ["middle", "latest"])
def test_a_wrong_key(it: Protected, to: str) -> None:
    """The site has another identity than the recipients': nothing is stopped for a set that cannot be opened."""
    place = it.world.folder / "site/keys/seoul.age"
    kept = place.read_text()
    place.write_text(str(pyrage.x25519.Identity.generate()))
    try:
        said = flat(it.refused("--to", it.middle if to == "middle" else "latest"))
    finally:
        place.write_text(kept)
    assert "no-key-opens" in said or "keys-unreadable" in said, said
    assert "identity" in said
    assert "recovery" in said


def test_a_set_by_an_unknown_signer(it: Protected) -> None:
    """Beside a whole catalog it is left alone and told; where it is all there is, there is no backup."""
    key, public = new_signing_key()
    with it.harmed():
        body = it.records("set")[0]["record"]
        forged = {**body, "id": "20991231T000000Z-f0f0f0", "set": "forged-F1", "site": "mallory"}
        put(it, forged, "mallory", key)
        assert rows_beside(it.world, "--to", it.middle) == it.rows
        said = " ".join(it.world.outputs[-1].split())
        assert "unknown signer" in said
        assert "mallory" in said
        assert "uses set forged-F1" not in said
        for one in it.records("set"):
            it.remove(path_of(one), *REPOSITORIES) if one["signer"] == "seoul" else None
        said = flat(it.refused("--to", it.middle))
        assert "no-backup" in said, said
        assert "mallory" in said
        # Named in the documents, as after a change of keys, the very same record is believed.
        put(it, {**body, "site": "mallory"}, "mallory", key)
        assert "unknown signer" in flat(it.world.aegis("plan"))
        it.remove(Path("records/20991231T000000Z-f0f0f0.json"), *REPOSITORIES)
        sealing = it.world.plans / "sealing.yaml"
        kept = sealing.read_text()
        sealing.write_text(f"{kept.rstrip()}\n  former_signers: {{mallory: ['{public}']}}\n")
        try:
            assert rows_beside(it.world, "--to", it.middle) == it.rows
        finally:
            sealing.write_text(kept)


@pytest.mark.parametrize("how", ["altered", "signed by another key", "of another store", "under another name"])
def test_a_forged_record(it: Protected, how: str) -> None:
    """Whoever writes to every repository still cannot make us restore what was not signed for this place."""
    with it.harmed():
        one = it.records("set")[0]
        body = one["record"]
        for found in it.records("set"):
            it.remove(path_of(found), *REPOSITORIES)
        if how == "altered":
            for name in REPOSITORIES:
                data = json.dumps({**one, "record": {**body, "end": "1/0/2000130"}}, separators=(",", ":"))
                it.write(it.store(name) / path_of(one), data.encode())
        elif how == "signed by another key":
            put(it, body, "seoul", new_signing_key()[0])
        elif how == "of another store":
            other = {**body, "store": "other-db"}
            put(it, other, "seoul", private(it.world))
        else:
            for name in REPOSITORIES:
                data = json.dumps(one, sort_keys=True, separators=(",", ":")).encode()
                it.write(it.store(name) / "records/20991231T000000Z-f0f0f0.json", data)
        said = flat(it.refused("--to", it.middle))
        assert "no-backup" in said, said
        assert "hint:" in said
        if how in ("altered", "signed by another key"):
            assert "was not signed in this form" in said, said
        else:
            assert "signed for another place" in said, said


def test_a_changed_signing_key(it: Protected) -> None:
    """What the old key signed is lost to a restore until that key is named as a former one."""
    sealing = it.world.plans / "sealing.yaml"
    kept = sealing.read_text()
    ((old, new),) = [(line.split("seoul: ")[1].rstrip("}"), new_signing_key()[1])
                     for line in kept.splitlines() if "signers" in line]  # fmt: skip
    try:
        sealing.write_text(kept.replace(old, new))
        assert "no-backup" in flat(it.refused("--to", it.middle))
        sealing.write_text(f"{kept.replace(old, new).rstrip()}\n  former_signers: {{seoul: ['{old}']}}\n")
        assert rows_beside(it.world, "--to", it.middle) == it.rows
    finally:
        sealing.write_text(kept)


def test_a_forged_record_in_one_copy(it: Protected) -> None:
    with it.harmed():
        put(it, it.records("set")[0]["record"], "seoul", new_signing_key()[0], "seoul")
        assert rows_beside(it.world, "--to", it.middle) == it.rows
        assert "bad signature" in " ".join(it.world.outputs[-1].split())


def test_a_record_that_others_name_is_gone(it: Protected) -> None:
    """The newest moment cannot be known any more; an older one that is whole can still be had."""
    with it.harmed():
        log = it.records("log")
        it.remove(path_of(log[-2]), *REPOSITORIES)
        said = flat(it.refused("--to", "latest"))
        assert "records-missing" in said or "log-hole" in said, said
        assert "--to '" in said


def test_the_newest_record_is_gone_everywhere(it: Protected) -> None:
    """No other record names it, but this site wrote it and knows."""
    with it.harmed():
        it.remove(path_of(it.records("log")[-1]), *REPOSITORIES)
        said = flat(it.refused("--to", "latest"))
        assert "records-missing" in said, said
        assert "this site" in said
        assert "--to '" in said
        said = flat(it.refused("--to", it.middle))
        assert "records-missing" in said, said
        assert "possible:" in said
        assert rows_beside(it.world, "--to", it.before) == it.rows[:100]
        posture = flat(it.world.aegis("plan"))
        assert "rolled back" in posture or "records-missing" in posture, posture


def test_the_newest_record_is_gone_in_one_repository(it: Protected) -> None:
    """The other has it: the restore goes on, and protection wants the copy back."""
    with it.harmed():
        gone = it.records("log")[-1]
        it.remove(path_of(gone), "seoul")
        everything = it.world.rows()
        found = rows_beside(it.world, "--to", "latest")
        assert found == everything
        planned = it.world.aegis("plan", "--detailed-exitcode")
        assert planned.code in (2, 3), planned.text
        assert "copy" in planned.text
