"""A repository whose writer went rogue: each thing that he can do has its own finding in plan, status and catalog, and
nothing of it is restored.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis_plan.sealing.keys import new_data_key, new_identity, new_signing_key, wrap
from aegis_plan.sealing.signatures import enclose
from tests.thread.beside import rows_beside
from tests.thread.damage import Protected
from tests.thread.world import World, world

REPOSITORIES = ("seoul", "busan")
NUMBERS = itertools.count(1225)


@pytest.fixture(scope="module")
def it() -> Iterator[Protected]:
    with world() as made:
        made.ok("apply", "-y")
        made.insert(50, "second")
        made.ok("backup", "policy-db", "--full", "-y")
        made.ok("backup", "policy-db", "--log", "-y")
        yield Protected(made, "", "", made.rows())


def forge(it: Protected, key: bytes, signer: str = "seoul", **changes: Any) -> None:
    """The newest set once more as one that is newer still, signed by that key, in every repository."""
    newest = [one["record"] for one in it.records("set") if one["record"]["set"] != "forged-F1"][-1]
    later = f"2026{next(NUMBERS)}{newest['id'][8:]}"
    body = {**newest, "id": later, "set": "forged-F1", "previous": [], **changes}
    data = enclose(body, "record", signer, key)
    for name in REPOSITORIES:
        it.write(it.store(name) / f"records/{body['id']}.json", data)


def unknown_signer(it: Protected) -> None:
    forge(it, new_signing_key()[0], "mallory", site="mallory")


def wrong_key(it: Protected) -> None:
    forge(it, new_signing_key()[0])


def newest_deleted(it: Protected) -> None:
    newest = it.records("log")[-1]["record"]["id"]
    it.remove(Path(f"records/{newest}.json"), *REPOSITORIES)


def one_in_the_middle_deleted(it: Protected) -> None:
    first = it.records("set")[0]["record"]["id"]
    it.remove(Path(f"records/{first}.json"), *REPOSITORIES)


def key_replaced(it: Protected) -> None:
    """Sealed to the right recipients, with a secret of the rogue's own: recipients are public."""
    from aegis_plan.documents.model import Sealing

    for name in REPOSITORIES:
        for path in it.files("keys/*.json"):
            there = it.store(name) / path
            body = json.loads(there.read_text())["key"]
            names = body["data"]["recipients"]
            sealing = Sealing(recipients=tuple(names), recovery_recipient=names[0])
            it.write(there, wrap(new_data_key(body["name"]), sealing, "seoul", new_signing_key()[0]))


def of_another_system(it: Protected) -> None:
    """A record that is signed as it has to be, and of a system beside."""
    private = base64.b64decode((it.world.folder / "site/keys/seoul.sign").read_text())
    forge(it, private, system="another")


def swapped(it: Protected) -> None:
    """The base of one set in the place of another's, its size with it."""
    first, second = it.files("sets/*/base.000")
    for name in REPOSITORIES:
        root = it.store(name)
        one, two = (root / first).read_bytes(), (root / second).read_bytes()
        it.write(root / first, two)
        it.write(root / second, one)


def shows(made: World, *codes: str) -> None:
    """Plan, status and catalog each name what was found, and count nothing of a forgery."""
    plan = made.aegis("plan")
    assert all(f"[{code}]" in plan.out for code in codes), plan.text
    assert plan.code == 3 or codes == ("copy-damaged",)
    catalog = json.loads(made.aegis("catalog", "--json").out)["stores"][0]
    assert set(codes) <= {code for _, code, _ in catalog["damage"]}
    assert "forged-F1" not in {one["set"] for one in catalog["sets"]}
    status = json.loads(made.aegis("status", "--json").out)["stores"][0]
    assert status["state"] != "protected"
    assert set(codes) <= {code for _, code, _ in status["damage"]}


def test_forged_sets_are_told_apart_and_the_real_one_is_restored(it: Protected) -> None:
    assert it.world.aegis("plan", "--detailed-exitcode").code == 0, "healthy before"
    with it.harmed():
        unknown_signer(it)
        wrong_key(it)
        of_another_system(it)
        shows(it.world, "signer-not-listed", "signature-wrong", "signed-for-elsewhere")
        assert rows_beside(it.world) == it.rows


@pytest.mark.parametrize(
    ("deed", "code", "refused"),
    [
        (one_in_the_middle_deleted, "record-taken-away", False),
        (newest_deleted, "catalog-rolled-back", False),
        (key_replaced, "signature-wrong", True),
        (swapped, "copy-damaged", True),
    ],
)
def test_what_was_taken_away_or_replaced_shows(
    it: Protected, deed: Callable[[Protected], None], code: str, refused: bool
) -> None:
    with it.harmed():
        deed(it)
        shows(it.world, code)
        if refused:
            beside = it.world.folder / "refused beside"
            ran = it.world.aegis("restore", "policy-db", "--beside", str(beside), "-y")
            assert ran.code == 1, ran.text
            assert not beside.exists()


def test_a_host_without_private_keys_backs_up_and_opens_nothing(it: Protected) -> None:
    """Its signing key and the public recipients are all that it has."""
    made = it.world
    site = made.folder / "site/seoul.yaml"
    kept = site.read_text()
    try:
        site.write_text("\n".join(line for line in kept.splitlines() if "identities" not in line) + "\n")
        newest = it.records("set")[-1]["record"]
        it.remove(Path(f"records/{newest['id']}.json"), "busan")
        due = made.aegis("plan", "--detailed-exitcode")
        assert due.code == 2, due.text
        assert "copy" in due.out
        made.ok("apply", "-y")
        made.ok("backup", "policy-db", "--full", "-y")
        ran = made.aegis("restore", "policy-db", "--beside", str(made.folder / "beside"), "-y")
        assert ran.code == 1
        assert "no-key-opens" in ran.text
        said = json.loads(made.ok("keys", "list", "--json").out)
        assert not any(one["private_half_here"] for one in said["recipients"])
        # Who may open what was changed: this host sees it, and cannot change it.
        made.aegis("keys", "rotate", "--add", new_identity()[1], "-y")
        ran = made.aegis("plan")
        assert "keys-not-for-all" in ran.out, ran.text
        assert "rewrap" not in ran.out.replace("keys rewrap", "")
        made.ok("keys", "rewrap", "--identity", "site/keys/recovery.age", "-y")
        assert made.aegis("plan", "--detailed-exitcode").code == 0
    finally:
        site.write_text(kept)


def test_an_object_that_is_not_sealed_is_an_error(it: Protected) -> None:
    made: World = it.world
    whole = made.aegis("keys", "check", "--json")
    assert whole.code == 0, whole.text
    said = json.loads(whole.out)
    assert said["opened"] == said["objects"] > 0
    with it.harmed():
        (plain, moved, *_) = it.files("sets/*/base.000")
        place = it.store("busan") / plain
        it.write(place, b"plain text".ljust(place.stat().st_size, b"."))
        other = (it.store("busan") / moved).read_bytes()
        it.write(it.store("busan") / moved, other[:300] + bytes(100) + other[400:])
        ran = made.aegis("keys", "check", "--json")
        assert ran.code == 1
        problems = {Path(one["object"]).parent.name: one["problem"] for one in json.loads(ran.out)["problems"]}
        assert "not sealed" in problems[plain.parent.name]
        assert "does not open" in problems[moved.parent.name]


def test_a_stolen_key_that_signs_no_more_forges_nothing(it: Protected) -> None:
    """It was replaced, and then taken out of the documents because it was stolen."""
    made = it.world
    stolen = base64.b64decode((made.folder / "site/keys/seoul.sign").read_text())
    made.ok("keys", "new", "seoul", "--signing")
    made.ok("backup", "policy-db", "--full", "-y")
    forge(it, stolen)
    sealing = made.plans / "sealing.yaml"
    lines = [line for line in sealing.read_text().splitlines() if "former_signers" not in line]
    sealing.write_text("\n".join(lines) + "\n")
    shows(made, "signature-wrong")
    catalog = json.loads(made.aegis("catalog", "--json").out)["stores"][0]
    assert [one["method"] for one in catalog["sets"]] == ["full"], "only what the new key signed"
