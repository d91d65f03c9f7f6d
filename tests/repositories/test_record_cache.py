"""What a site remembers of catalogs saves reading, and is never believed: every record is verified each time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from aegis_plan.catalog.holding import Shelf
from aegis_plan.repositories.contract import Listed
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.repositories.recordcache import FILE
from tests.repositories.catalogs import Made, Writer


class Counted(LocalRepository):
    """A folder that knows what was read from it."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self.read: list[str] = []
        self.mark: Callable[[Listed], Listed] = lambda listed: listed

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.read.append(key)
        return super().get(key, offset, length)

    def listing(self, prefix: str) -> Iterator[Listed]:
        return map(self.mark, super().listing(prefix))

    def taken(self) -> list[str]:
        found, self.read = sorted(self.read), []
        return found


class Here:
    """Two folders with a catalog, and a folder that remembers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "site"
        self.cache.mkdir()
        self.places = {name: Counted(name, folder / name) for name in ("one", "two")}
        self.writer = Writer()
        self.made: list[Made] = [self.writer.full()]
        self.made += [self.writer.range() for _ in range(4)]
        for each in self.made:
            each.put(*self.places.values())

    def look(self, cache: Path | None = None, **more: object) -> Shelf:
        return self.writer.shelf(self.places, cache=cache or self.cache, **more)

    def taken(self) -> dict[str, list[str]]:
        return {name: place.taken() for name, place in self.places.items()}

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.cache / FILE)

    @property
    def whole(self) -> Shelf:
        """What a look without any memory says."""
        return self.writer.shelf(self.places, cache=None)


NOTHING: dict[str, list[str]] = {"one": [], "two": []}


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def kinds(shelf: Shelf) -> list[tuple[str, str]]:
    return [(holding.repository, found.kind) for holding in shelf.holdings for found in holding.damage]


def test_a_second_look_reads_only_what_is_new(here: Here) -> None:
    first = here.look()
    assert here.taken()["one"] == sorted(key for each in here.made for key in each.looked_at)
    assert here.look() == first
    assert here.taken() == NOTHING
    new = here.writer.range()
    new.put(*here.places.values())
    assert new.record in here.look().records
    assert here.taken() == {"one": [*new.looked_at], "two": [*new.looked_at]}


def test_what_was_changed_in_place_is_read_again_and_told(here: Here) -> None:
    here.look()
    path = here.folder / "two" / here.made[2].key
    was = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))  # as one who wants it unseen would
    for _ in range(2):
        shelf = here.look()
        assert [name for name, _ in kinds(shelf)] == ["two"]
        assert here.made[2].id in shelf.holdings[0].held
        assert here.made[2].id not in shelf.holdings[1].held


def test_an_object_without_a_mark_is_always_read(here: Here) -> None:
    here.places["two"].mark = lambda listed: listed._replace(tag="")
    here.look()
    here.taken()
    here.look()
    assert here.taken() == {"one": [], "two": sorted(key for each in here.made for key in each.looked_at)}


def test_what_was_not_read_for_long_is_read_again_a_little_at_a_time(here: Here) -> None:
    for _ in range(20):
        here.made.append(here.writer.range())
        here.made[-1].put(*here.places.values())
    here.places["two"].mark = lambda listed: listed._replace(tag="as ever")  # what rots changes no mark
    here.look()
    path = here.folder / "two" / here.made[1].key
    path.write_bytes(bytes(path.stat().st_size))
    assert kinds(here.look()) == []
    with here.database() as database:
        database.execute("update copy set at = 1.0 where repository = 'two'")
        database.execute("update copy set at = 0.5 where key = ?", (here.made[1].key,))
    here.taken()
    assert kinds(here.look()) == [("two", "unreadable-record")]
    assert len(set(here.taken()["two"])) == 16
    for _ in range(3):
        assert kinds(here.look()) == [("two", "unreadable-record")]
    here.taken()
    here.look()
    assert set(here.taken()["two"]) == {here.made[1].key}


def forged(made: Made) -> bytes:
    """The record as somebody who is not listed would sign it, under the name of one who is."""
    stranger = Writer()
    return stranger._made(made.record.model_copy(update={"begin": "1/0/1"}), []).data


@pytest.mark.parametrize("poison", [b"", b"{}", b"\xff\x00garbage", "forged", "other", "text"])
def test_a_poisoned_memory_is_not_believed_and_mended(here: Here, poison: bytes | str) -> None:
    before = here.look()
    here.taken()
    victim = here.made[2]
    bad: object = poison
    if poison == "forged":
        bad = forged(victim)
    elif poison == "other":
        bad = here.made[3].data
    with here.database() as database:
        row = database.execute("select hash from copy where key = ?", (victim.key,)).fetchone()
        database.execute("update body set data = ? where hash = ?", (bad, row[0]))
    assert here.look() == before == here.whole
    here.taken()
    here.look()
    assert here.taken() == NOTHING


def test_a_forgery_in_the_memory_does_not_make_up_a_record(here: Here) -> None:
    here.look()
    stranger = Writer()
    stranger.written = here.writer.written
    made = stranger.range()
    path = here.folder / "one" / made.key
    path.write_bytes(made.data)
    listed = next(one for one in here.places["one"].listing(made.key))
    with here.database() as database:
        database.execute("insert into body values (?, ?)", (b"h", made.data))
        database.execute(
            "insert into copy values ('one', 'v1/s/stores/x/', ?, ?, ?, ?, 1e12)",
            (made.key, listed.size, listed.tag, b"h"),
        )
    shelf = here.look()
    assert made.id not in {record.id for record in shelf.records}
    assert kinds(shelf) == [("one", "bad-signature")]


def test_a_signer_that_is_listed_no_more_is_not_believed_from_memory(here: Here) -> None:
    here.look()
    here.writer.public = Writer().public
    shelf = here.look()
    assert shelf.records == ()
    assert {kind for _, kind in kinds(shelf)} == {"bad-signature"}


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def torn(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + os.urandom(len(data) // 4))


def of_another_version(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("create table copy (something text)")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [garbage, torn, of_another_version, emptied])
def test_garbage_is_not_read_and_is_replaced(here: Here, harm: Callable[[Path], None]) -> None:
    before = here.look()
    harm(here.cache / FILE)
    here.taken()
    assert here.look() == before
    here.look()
    here.taken()
    assert here.look() == before
    assert here.taken() == NOTHING


def test_a_folder_where_the_file_should_be_costs_only_the_memory(here: Here) -> None:
    (here.cache / FILE).mkdir()
    assert here.look() == here.look() == here.whole


def test_what_is_listed_no_more_is_forgotten(here: Here) -> None:
    here.look()
    for place in here.places.values():
        for each in here.made[2:]:
            for key, _ in each.files():
                place.delete(key)
    here.look()
    with here.database() as database:
        keys = {row[0] for row in database.execute("select key from copy")}
        assert keys == {key for each in here.made[:2] for key in each.looked_at}
        assert database.execute("select count(*) from body").fetchone() == (4,)


def test_without_a_folder_nothing_is_written(here: Here) -> None:
    missing = here.folder / "none"
    assert here.look(missing) == here.whole
    assert not missing.exists()


def test_folders_that_may_only_be_read_are_read_and_left_alone(here: Here) -> None:
    remembered = here.look()
    here.taken()
    new = here.writer.range()
    new.put(*here.places.values())
    every = sorted(here.folder.rglob("*"))
    before = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in every]

    def look_as_nobody() -> bool:
        os.setgroups([])
        os.setresuid(65534, 65534, 65534)
        shelf = here.look()
        return new.record in shelf.records and len(shelf.records) == len(remembered.records) + 1

    for path in (*here.folder.parents, here.folder):
        if path.stat().st_uid == os.geteuid() and path != Path("/") and path != Path("/tmp"):
            path.chmod(0o711)
    for path in every:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() != 0:
        assert new.record in here.look().records
    else:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if look_as_nobody() else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(here.folder.rglob("*"))] == before
    for path in every:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _look_again(folder: str, signer: str, turns: int) -> int:
    writer = Writer(private=b"-", public=signer)
    places = {name: LocalRepository(name, Path(folder) / name) for name in ("one", "two")}
    found = [writer.shelf(places, cache=Path(folder) / "site") for _ in range(turns)]
    counts = [len(shelf.records) for shelf in found]
    assert counts == sorted(counts)
    assert not any(holding.damage for shelf in found for holding in shelf.holdings)
    return counts[-1]


def test_processes_share_one_memory(here: Here) -> None:
    turns = 10
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_look_again, str(here.folder), here.writer.public, turns) for _ in range(3)]
        while not all(job.done() for job in jobs):
            new = here.writer.range()
            new.put(*here.places.values())
            here.made.append(new)
        assert all(5 <= job.result() <= len(here.made) for job in jobs)
    here.look()
    here.taken()
    assert here.look() == here.whole


def test_the_memory_is_private(here: Here) -> None:
    here.look()
    assert (here.cache / FILE).stat().st_mode & 0o077 == 0
