"""Sets in several repositories at once: written together, read from any copy that verifies, known by their records."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aegis_plan.catalog.record import SetRecord, StoredObject
from aegis_plan.clock import new_id
from aegis_plan.documents.model import Sealing
from aegis_plan.errors import AegisError, DamageError, UnavailableError
from aegis_plan.repositories import copies, keys, records
from aegis_plan.repositories.contract import Head, Upload
from aegis_plan.repositories.datakeys import load_key
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.repositories.reader import open_object, read_object
from aegis_plan.repositories.setwriter import SetWriter, Written
from aegis_plan.sealing.keys import DataKey, new_data_key, new_identity, new_signing_key, wrap
from aegis_plan.sealing.signatures import digest

IDENTITY, RECIPIENT = new_identity()
SIGNING, PUBLIC = new_signing_key()
SIGNERS = {"seoul": PUBLIC}
DATA = os.urandom(3 << 20) * 4 + b"the end"


class Slow(LocalRepository):
    """A folder that stands still from the first part on, until it is let go."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self.go = threading.Event()

    def open(self, key: str) -> Upload:  # type: ignore[override]  # wraps what the folder gives
        return _Waiting(super().open(key), self.go)


@dataclass
class _Waiting:
    inner: Upload
    go: threading.Event

    def write(self, part: bytes) -> None:
        self.go.wait(60)
        self.inner.write(part)

    def commit(self, sha256: str) -> Head:
        return self.inner.commit(sha256)

    def abort(self) -> None:
        self.inner.abort()


@dataclass
class World:
    """Three repositories and a way to write sets into them."""

    folder: Path
    repositories: dict[str, LocalRepository]

    def writer(self, key: DataKey, **more: object) -> SetWriter:
        wanted: dict[str, object] = {
            "system": "s", "store": "x", "lineage": "l", "root": f"sets/{key.name}", "key": key, "level": 1,
            "stop": lambda: None, "progress": lambda _done: None, "volume_size": 5 << 20, **more,
        }  # fmt: skip
        return SetWriter(self.repositories, **wanted)  # type: ignore[arg-type]  # checked by the writer's own signature

    def write(self, name: str = "r-F1", previous: tuple[str, ...] = ()) -> tuple[SetRecord, Written, DataKey]:
        key = new_data_key(name)
        blob = wrap(key, Sealing(recipients=(RECIPIENT,), recovery_recipient=RECIPIENT), "seoul", SIGNING, 1)
        for repository in self.repositories.values():
            repository.put(keys.data_key("s", "x", "l", name, 1), blob)
        with self.writer(key) as writer:
            writer.add("base", pieces(), members=lambda: [["file", 0, 7]])
            writer.add("manifest", [b"{}"], meta=True, volumes=False)
            written = writer.finish()
        now = datetime.now(UTC)
        made = SetRecord(
            id=new_id(now), system="s", store="x", lineage="l", written=now, site="seoul", previous=previous,
            set=name, engine="postgresql", method="full", begun=now, ended=now, begin="1/0/1", end="1/0/2",
            not_before=now, not_after=now, key=name, objects=written.objects, run="r", tool="t",
        )  # fmt: skip
        holders = {name: self.repositories[name] for name in written.copies}
        assert set(records.write(made, "seoul", SIGNING, holders).values()) == {None}
        return made, written, key

    def path(self, repository: str, stored: StoredObject) -> Path:
        return self.folder / repository / stored.key

    def damage(self, repository: str, stored: StoredObject, place: int) -> None:
        data = bytearray(self.path(repository, stored).read_bytes())
        data[place] ^= 1
        self.path(repository, stored).write_bytes(data)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, {name: LocalRepository(name, tmp_path / name) for name in ("one", "two", "three")})


def pieces() -> Iterator[bytes]:
    for begin in range(0, len(DATA), 300_007):
        yield DATA[begin : begin + 300_007]


def restored(world: World, made: SetRecord, told: list[tuple[str, str]]) -> bytes:
    key = load_key(world.repositories, keys.data_key_prefix("s", "x", "l", made.key), [IDENTITY], SIGNERS)
    assert key.data is not None
    secret = key.data
    parts = [stored for stored in made.objects if stored.name.startswith("base.")]
    tell = lambda name, what: told.append((name, what))  # noqa: E731
    return b"".join(b"".join(open_object(world.repositories, stored, secret, damage=tell)) for stored in parts)


def test_a_set_is_in_every_repository_and_comes_back(world: World) -> None:
    made, written, key = world.write()
    assert written.copies == ("one", "two", "three")
    assert [stored.name for stored in made.objects] == ["base.000", "base.001", "base.002", "manifest", "index"]
    told: list[tuple[str, str]] = []
    assert restored(world, made, told) == DATA
    assert told == []
    assert key.meta is not None
    assert read_object(world.repositories, made.objects[3], key.meta, damage=lambda _n, _w: None) == b"{}"
    assert world.folder.joinpath("one").stat().st_mode & 0o077 == 0


def test_a_streams_length_at_the_edge_of_a_volume(world: World) -> None:
    for number, size in enumerate([0, 9, 10, 11, 20]):
        with world.writer(new_data_key(f"e{number}"), volume_size=10) as writer:
            writer.add("base", [b"abcde" * 4][: 1 if size else 0] and [(b"abcde" * 5)[:size]])
            written = writer.finish()
        sizes = [stored.plain_size for stored in written.objects if stored.name != "index"]
        assert sizes == ([10] * (size // 10) + [size % 10] * (size % 10 > 0) or [0])


def test_damage_in_each_copy_at_another_place_costs_nothing_but_is_told(world: World) -> None:
    made, _, _ = world.write()
    world.damage("one", made.objects[0], 60)
    world.damage("two", made.objects[0], 1 << 20)
    os.truncate(world.path("one", made.objects[1]), 1 << 20)
    world.path("one", made.objects[2]).unlink()
    told: list[tuple[str, str]] = []
    assert restored(world, made, told) == DATA
    assert [name for name, _ in told] == ["one", "two", "one", "one"]


def test_damage_of_one_object_everywhere_is_refused_with_each_reason(world: World) -> None:
    made, _, key = world.write()
    for name in world.repositories:
        world.damage(name, made.objects[0], 2 << 20)
    with pytest.raises(DamageError) as caught:
        restored(world, made, [])
    assert caught.value.code == "object-damaged-everywhere"
    assert all(f"{name}: " in caught.value.detail for name in world.repositories)
    assert key.data is not None
    with pytest.raises(DamageError):
        read_object(world.repositories, made.objects[1], bytes(32), damage=lambda _n, _w: None)


def test_a_repository_that_stands_still_is_dropped_and_the_others_go_on(world: World) -> None:
    slow = Slow("two", world.folder / "two")
    world.repositories["two"] = slow
    with world.writer(new_data_key("r-F1"), lag_parts=4, patience=0.3, minimum_copies=2) as writer:
        writer.add("base", pieces())
        written = writer.finish()
    slow.go.set()
    assert written.copies == ("one", "three")
    assert "lagged" in written.dropped["two"]


def test_too_few_copies_are_a_failure_that_leaves_no_thread(world: World) -> None:
    for name in ("one", "two"):
        (world.folder / name).write_text("a file where a folder belongs")
    before = set(threading.enumerate())

    def write() -> None:
        with world.writer(new_data_key("r-F1"), minimum_copies=2) as writer:
            writer.add("base", pieces())
            writer.finish()

    with pytest.raises(UnavailableError) as caught:
        write()
    assert caught.value.code == "too-few-copies"
    assert "one: " in caught.value.detail
    assert "two: " in caught.value.detail
    assert not set(threading.enumerate()) - before


def test_a_stop_ends_everything_and_leaves_nothing_visible(world: World) -> None:
    asked = [0]

    def stop() -> None:
        asked[0] += 1
        if asked[0] > 20:
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    writer = world.writer(new_data_key("r-F1"), stop=stop, volume_size=1 << 30)
    with pytest.raises(KeyboardInterrupt):
        writer.add("base", pieces())
    assert not set(threading.enumerate()) - before
    assert [path for path in world.folder.rglob("*") if path.is_file()] == []


def test_the_shelf_says_who_holds_what_and_what_is_wrong(world: World, tmp_path: Path) -> None:
    first, _, _ = world.write("r-F1")
    second, _, _ = world.write("r-F2", previous=(digest(first),))
    third, _, _ = world.write("r-F3", previous=(digest(second),))
    cache = tmp_path / "cache"
    cache.mkdir()
    for _ in range(2):
        shelf = records.shelf("s", "x", SIGNERS, world.repositories, cache=cache)
        assert [record.id for record in shelf.records] == sorted([first.id, second.id, third.id])
        assert shelf.heads == {"l/data": (digest(third),)}
        assert all(len(holding.held) == 3 and holding.damage == () for holding in shelf.holdings)
    world.path("one", first.objects[0]).unlink()
    os.truncate(world.path("two", first.objects[1]), 5)
    world.repositories["three"].delete(keys.data_key("s", "x", "l", "r-F1", 1))
    for repository in world.repositories.values():
        repository.delete(keys.record("s", "x", "l", second.id))
    forged = keys.record("s", "x", "l", "forged")
    world.repositories["three"].put(forged, b"{}")
    shelf = records.shelf("s", "x", SIGNERS, world.repositories, cache=None, seen={"l/data": ("f" * 64,)})
    found = {(damage.repository, damage.kind) for holding in shelf.holdings for damage in holding.damage}
    assert found == {
        ("one", "missing-object"),
        ("two", "wrong-size"),
        ("three", "unreadable-keys"),
        ("one", "missing-record"),
        ("one", "rolled-back"),
        ("three", "unreadable-record"),
    }
    assert all(first.id not in holding.held and third.id in holding.held for holding in shelf.holdings)
    nobody = records.shelf("s", "x", {}, world.repositories, cache=None)
    assert nobody.records == ()
    assert {damage.kind for holding in nobody.holdings for damage in holding.damage} >= {"unknown-signer"}


def test_what_cannot_be_reached_is_unknown_and_not_missing(world: World) -> None:
    made, _, _ = world.write(previous=("e" * 64,))
    away = UnavailableError("repository-unreachable", "a repository cannot be reached", "two")
    shelf = records.shelf("s", "x", SIGNERS, {**world.repositories, "two": away}, cache=None)
    assert [(holding.repository, holding.reachable) for holding in shelf.holdings][1] == ("two", False)
    assert not any(damage.kind == "missing-record" for holding in shelf.holdings for damage in holding.damage)
    assert shelf.records == (made,)


def test_a_record_of_another_place_is_not_believed(world: World) -> None:
    made, _, _ = world.write()
    data = (world.folder / "one" / keys.record("s", "x", "l", made.id)).read_bytes()
    world.repositories["one"].put(keys.record("s", "y", "l", made.id), data)
    shelf = records.shelf("s", "y", SIGNERS, {"one": world.repositories["one"]}, cache=None)
    assert shelf.records == ()
    assert shelf.holdings[0].damage[0].kind == "misplaced"


def test_a_copy_needs_no_key_and_a_clean_up_needs_proof(world: World) -> None:
    made, _, _ = world.write()
    fourth = LocalRepository("four", world.folder / "four")
    assert copies.copy(made, world.repositories["one"], fourth, digest=digest(made), signers=SIGNERS) > len(DATA) // 5
    assert copies.prove(made, fourth, digest(made)) == []
    world.damage("two", made.objects[0], 1000)
    with pytest.raises(DamageError) as caught:
        copies.copy(made, world.repositories["two"], LocalRepository("five", world.folder / "five"), signers=SIGNERS)
    assert caught.value.code == "object-damaged"
    with pytest.raises(AegisError) as refused:
        copies.proved_in(made, digest(made), {"two": world.repositories["two"], "four": fourth}, 2)
    assert refused.value.code == "copies-not-proved"
    stranger = "v1/s/stores/x/l/sets/r-F1/something-else"
    world.repositories["one"].put(stranger, b"not ours")
    assert copies.proved_in(made, digest(made), {"four": fourth}, 1) == ("four",)
    copies.remove(made, world.repositories["one"])
    assert [found.key for found in world.repositories["one"].listing("v1/")] == [stranger]


def test_a_read_only_repository_can_be_read(world: World) -> None:
    made, _, _ = world.write()
    for path in sorted(world.folder.rglob("*"), reverse=True):
        path.chmod(0o500 if path.is_dir() else 0o400)
    told: list[tuple[str, str]] = []
    assert restored(world, made, told) == DATA
    assert len(records.shelf("s", "x", SIGNERS, world.repositories, cache=world.folder / "none").records) == 1
    for path in world.folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o700)


def test_a_full_disk_is_said_to_be_one_and_leaves_nothing(tmp_path: Path) -> None:
    import resource
    import signal

    repository = LocalRepository("folder", tmp_path / "r")
    upload = repository.open("a/b")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    was = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        with pytest.raises(UnavailableError) as caught:
            upload.write(bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, was)
    assert caught.value.code == "repository-full"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_newer_key_that_somebody_planted_is_told_and_not_used(world: World) -> None:
    made, _, _ = world.write()
    sealing = Sealing(recipients=(RECIPIENT,), recovery_recipient=RECIPIENT)
    planted = wrap(new_data_key(made.key), sealing, "seoul", new_signing_key()[0], 2)
    place = keys.data_key("s", "x", "l", made.key, 2)
    world.repositories["one"].put(place, planted)
    told: list[tuple[str, str]] = []
    prefix = keys.data_key_prefix("s", "x", "l", made.key)
    load_key(world.repositories, prefix, [IDENTITY], SIGNERS, lambda name, key: told.append((name, key)))
    assert told == [("one", place)]
    assert restored(world, made, []) == DATA


def test_a_key_whose_every_copy_is_damaged_in_another_place_still_opens(world: World) -> None:
    """What is read with it is compared with the signed record: a damaged signature alone must not cost the data."""
    made, _, _ = world.write()
    place = keys.data_key("s", "x", "l", made.key, 1)
    for name in world.repositories:
        path = world.folder / name / place
        text = path.read_text()
        at = text.index('"signature":"') + 20
        path.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
    told: list[tuple[str, str]] = []
    prefix = keys.data_key_prefix("s", "x", "l", made.key)
    load_key(world.repositories, prefix, [IDENTITY], SIGNERS, lambda name, key: told.append((name, key)))
    assert sorted(told) == [(name, place) for name in sorted(world.repositories)]
    assert restored(world, made, []) == DATA
