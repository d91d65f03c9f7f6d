"""Damage in repositories: in one copy the other is used and the damage told; in all copies a restore is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.thread.beside import rows_beside
from tests.thread.damage import Protected, flat
from tests.thread.damage import protected as made_protected
from tests.thread.world import World


@pytest.fixture(scope="module")
def it() -> Iterator[Protected]:
    with made_protected() as made:
        yield made


KINDS = {
    "base": "sets/*/base.000",
    "manifest": "sets/*/manifest",
    "log": "log/*/*",
    "keys": "keys/*-F1.*.json",
    "log keys": "keys/log-*.json",
    "record": "records/*.json",
}


def last(kind: str) -> int:
    """Which of several is harmed: the newest range that a restore to the middle needs, else the first object."""
    return 1 if kind == "log" else 0


def test_a_flipped_byte_in_one_copy_of_everything(it: Protected) -> None:
    """Every other object of one repository and the rest of the other: no copy is whole, together they are."""
    with it.harmed():
        paths = [path for pattern in KINDS.values() for path in it.files(pattern)]
        assert len(paths) > len(KINDS)
        for number, path in enumerate(paths):
            it.flip(path, ("seoul", "busan")[number % 2])
        with it.untouched():
            found = rows_beside(it.world, "--to", it.middle)
        assert found == it.rows
        assert "copy-damaged" in it.world.outputs[-1]


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_one_bad_copy(it: Protected, harm: str) -> None:
    """One object of each kind is bad in one repository: the other is used, and a finding names each."""
    with it.harmed():
        kinds = [kind for kind in KINDS if harm != "remove" or kind != "record"]
        paths = [it.files(KINDS[kind])[last(kind)] for kind in kinds]
        for path in paths:
            getattr(it, harm)(path, "seoul")
        with it.untouched():
            found = rows_beside(it.world, "--to", it.middle)
        assert found == it.rows
        said = "".join(it.world.outputs[-1].split())
        assert "copy-damaged" in said
        if harm == "flip":
            for path in paths:
                assert path.name in said, path


@pytest.mark.parametrize("half", ["data", "meta"])
def test_half_of_a_key_in_each_copy(it: Protected, half: str) -> None:
    """What one copy of the wrapped key cannot give is taken from the other."""
    with it.harmed():
        for name, broken in (("seoul", half), ("busan", "meta" if half == "data" else "data")):
            for path in it.files("keys/*.json"):
                key = json.loads((it.store(name) / path).read_text())
                sealed = key["key"][broken]
                sealed["age"] = sealed["age"][:-8] + "AAAAAAA="
                it.write(it.store(name) / path, json.dumps(key, sort_keys=True).encode())
        assert rows_beside(it.world, "--to", it.middle) == it.rows
        assert "copy-damaged" in it.world.outputs[-1]


@pytest.mark.parametrize(("kind", "latest"), [("base", False), ("log", False), ("log", True)])
def test_a_flipped_byte_in_all_copies(it: Protected, kind: str, latest: bool) -> None:
    """No look can see it; staging does, before the running server is stopped, also when its last log is wanted."""
    with it.harmed():
        path = it.files(KINDS[kind])[last(kind)]
        it.flip(path, "seoul", "busan")
        said = flat(it.refused("--to", "latest" if latest else it.middle))
        assert "object-damaged-everywhere" in said, said
        assert path.name in said.replace(" ", "")
        assert "aegis catalog" in said or "possible" in said
        leftover = [entry for entry in it.world.server.folder.iterdir() if ".aegis" in entry.name]
        assert not leftover


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        *(("missing", kind) for kind in ("base", "manifest", "log", "keys", "log keys")),
        # A record does not know the size of keys: those are found short only when they are read.
        *(("truncated", kind) for kind in ("base", "manifest", "log")),
    ],
)
def test_an_object_gone_or_short_everywhere(it: Protected, kind: str, harm: str) -> None:
    """A look sees it: the plan refuses and says what can be reached."""
    with it.harmed():
        path = it.files(KINDS[kind])[last(kind)]
        (it.remove if harm == "missing" else it.truncate)(path, "seoul", "busan")
        said = flat(it.refused("--to", it.middle))
        if kind in ("log", "log keys"):
            assert "log-hole" in said or "target-after-log" in said, said
            assert "possible:" in said, said
        else:
            assert "chain-broken" in said or "keys-unreadable" in said, said
        assert "hint:" in said
        assert "cannot be applied" in said


def test_keys_cut_short_everywhere(it: Protected) -> None:
    with it.harmed():
        it.truncate(it.files(KINDS["keys"])[0], "seoul", "busan")
        said = flat(it.refused("--to", it.middle))
        assert "key-missing" in said or "keys-unreadable" in said, said


@pytest.mark.parametrize("how", ["range and record", "range alone"])
def test_a_hole_in_the_log(it: Protected, how: str) -> None:
    """A later range is whole, so the end of the log is known and the hole is named with both ends."""
    with it.harmed():
        record = it.records("log")[1]["record"]
        gone = [Path(it.files(f"log/*/{Path(stored['key']).name}")[0]) for stored in record["objects"]]
        for path in gone:
            it.remove(path, "seoul", "busan")
        if how == "range and record":
            it.remove(Path(f"records/{record['id']}.json"), "seoul", "busan")
        said = flat(it.refused("--to", it.middle))
        assert "log-hole" in said, said
        assert record["begin"] in said
        assert "possible:" in said


def test_the_last_log_of_a_running_server(bare: World) -> None:
    """Nothing that the archive lacks is lost, though the archive is staged before the server stops."""
    world = bare
    world.ok("apply", "-y")
    world.insert(50, "second")
    world.ok("backup", "policy-db", "--log", "-y")
    world.insert(25, "third")
    rows = world.rows()
    ran = world.ok("restore", "policy-db", "--to", "latest", "-y")
    assert world.rows() == rows
    assert (
        ran.text.index("policy-db.stage ") < ran.text.index("policy-db.stop ") < ran.text.index("policy-db.stage-tail ")
    )


def test_damage_that_a_look_sees_is_healed_by_the_next_plan(it: Protected) -> None:
    """A short object, a record that no longer verifies, and objects that are gone: made anew from the sister."""
    with it.harmed():
        it.truncate(it.files(KINDS["base"])[0], "busan")
        it.flip(it.files(KINDS["log"])[0], "busan")
        it.truncate(it.files(KINDS["log"])[-1], "busan")
        for path in it.files(KINDS["record"])[:2]:
            it.flip(path, "busan")
        planned = it.world.aegis("plan", "--detailed-exitcode")
        assert planned.code in (2, 3), planned.text
        it.world.ok("apply", "-y")
        after = it.world.aegis("plan", "--detailed-exitcode")
        assert after.code == 0, after.text
        for name in ("base", "record"):
            for path in it.files(KINDS[name]):
                assert (it.store("busan") / path).read_bytes() == (it.store("seoul") / path).read_bytes(), path
        (it.world.repository("seoul") / "v1/aegis/stores").rename(it.world.folder / "seoul's stores")
        try:
            assert rows_beside(it.world, "--to", it.middle) == it.rows
        finally:
            (it.world.folder / "seoul's stores").rename(it.world.repository("seoul") / "v1/aegis/stores")
