"""A look at repositories while others write to them: what is only on its way is neither missing nor damaged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from aegis_plan.catalog.holding import Shelf
from aegis_plan.repositories.contract import Listed
from aegis_plan.repositories.local import LocalRepository
from tests.repositories.catalogs import Made, Writer


class Watched(LocalRepository):
    """A folder that counts its listings and lets a test act at each."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self.listings = 0
        self.before: dict[int, Callable[[], object]] = {}
        self.between: dict[int, Callable[[], object]] = {}
        """By number of the listing: what happens after the walk saw all but the records."""
        self.after: dict[int, Callable[[], object]] = {}

    def listing(self, prefix: str) -> Iterator[Listed]:
        self.listings += 1
        number = self.listings
        self.before.pop(number, int)()
        found = list(super().listing(prefix))
        if number in self.between:
            self.between.pop(number)()
            found = [one for one in found if "/records/" not in one.key]
            found += [one for one in super().listing(prefix) if "/records/" in one.key]
        self.after.pop(number, int)()
        return iter(found)


@pytest.fixture
def one(tmp_path: Path) -> Watched:
    return Watched("one", tmp_path / "one")


@pytest.fixture
def two(tmp_path: Path) -> Watched:
    return Watched("two", tmp_path / "two")


def seen(writer: Writer, *places: Watched, **more: object) -> Shelf:
    return writer.shelf({place.name: place for place in places}, **more)


def held(shelf: Shelf) -> list[set[str]]:
    return [set(holding.held) for holding in shelf.holdings]


def damage(shelf: Shelf) -> list[str]:
    return [found.kind for holding in shelf.holdings for found in holding.damage]


def filled(writer: Writer, *places: Watched, ranges: int = 3) -> list[Made]:
    made = [writer.full(), *(writer.range() for _ in range(ranges))]
    for each in made:
        each.put(*places)
    return made


def test_a_range_written_between_two_listings_lacks_no_copy(one: Watched, two: Watched) -> None:
    writer, written = Writer(), threading.Event()
    made = filled(writer, one, two)
    new = writer.range()

    def write() -> None:
        new.put(one, two)
        written.set()

    one.after[1] = write
    two.before[1] = lambda: written.wait(30)
    shelf = seen(writer, one, two)
    everything = {each.id for each in (*made, new)}
    assert held(shelf) == [everything, everything]
    assert damage(shelf) == []


def test_a_range_written_while_a_folder_is_walked_is_whole(one: Watched, two: Watched) -> None:
    writer = Writer()
    made = filled(writer, one, two)
    new = writer.range()
    one.between[1] = lambda: new.put(one, two)
    shelf = seen(writer, one, two)
    assert damage(shelf) == []
    assert held(shelf)[0] == {each.id for each in (*made, new)}


def test_a_record_that_the_walk_passed_by_is_not_gone(one: Watched, two: Watched) -> None:
    writer = Writer()
    made = filled(writer, one, two)
    passed = made[2]

    def hide(place: Watched) -> Callable[[], object]:
        path = place._root / passed.key
        return lambda: path.rename(path.with_name(".hidden"))

    def show(place: Watched) -> Callable[[], object]:
        path = place._root / passed.key
        return lambda: path.with_name(".hidden").rename(path)

    for place in (one, two):
        place.before[1], place.after[1] = hide(place), show(place)
    shelf = seen(writer, one, two)
    assert damage(shelf) == []
    assert [record.id for record in shelf.records] == [each.id for each in made]
    assert held(shelf) == [{each.id for each in made}] * 2


def test_what_the_site_wrote_last_is_not_rolled_back_because_the_walk_passed_it_by(one: Watched) -> None:
    writer = Writer()
    made = filled(writer, one)
    path = one._root / made[-1].key
    one.before[1] = lambda: path.rename(path.with_name(".hidden"))
    one.after[1] = lambda: path.with_name(".hidden").rename(path)
    shelf = seen(writer, one, seen={f"{writer.lineage}/log": writer.heads["log"]})
    assert damage(shelf) == []
    assert shelf.heads[f"{writer.lineage}/log"] == writer.heads["log"]


def test_what_is_missing_twice_is_missing(one: Watched, two: Watched) -> None:
    writer = Writer()
    made = filled(writer, one, two)
    lone = writer.range()
    lone.put(one)
    (two._root / made[1].objects[0][0]).unlink()
    shelf = seen(writer, one, two)
    assert held(shelf)[0] == {each.id for each in (*made, lone)}
    assert held(shelf)[1] == {each.id for each in made} - {made[1].id}
    assert damage(shelf) == ["missing-object"]
    assert (one.listings, two.listings) == (1, 2)


def test_a_range_on_its_way_during_the_second_look_is_left_to_the_next(one: Watched, two: Watched) -> None:
    writer = Writer()
    made = filled(writer, one, two)
    lone, coming = writer.range(), writer.range()
    lone.put(one)
    two.before[2] = lambda: coming.put(two)
    shelf = seen(writer, one, two)
    assert held(shelf) == [{each.id for each in (*made, lone)}, {each.id for each in made}]
    assert damage(shelf) == []
    coming.put(one)
    assert coming.id in held(seen(writer, one, two))[0] & held(seen(writer, one, two))[1]


def test_what_is_pruned_between_the_looks_is_not_damaged(one: Watched, two: Watched) -> None:
    writer = Writer()
    made = filled(writer, one, two)
    lone = writer.range()
    lone.put(one)
    end = writer.tombstone(made[1].record)

    def prune() -> None:
        end.put(one, two)
        two.delete(made[1].objects[0][0])

    two.before[2] = prune
    shelf = seen(writer, one, two)
    assert two.listings == 2
    assert damage(shelf) == []
    assert end.id in {record.id for record in shelf.records}


def test_copies_that_were_let_go_long_ago_are_not_looked_for_again(one: Watched, two: Watched) -> None:
    writer = Writer()
    old = writer.full(ago=timedelta(days=2))
    old.put(two)
    made = filled(writer, one, two)
    shelf = seen(writer, one, two)
    assert held(shelf) == [{each.id for each in made}, {each.id for each in (old, *made)}]
    assert (one.listings, two.listings) == (1, 1)


def test_a_repository_that_goes_away_between_the_looks_is_unknown(one: Watched, two: Watched, tmp_path: Path) -> None:
    from aegis_plan.errors import UnavailableError

    writer = Writer()
    filled(writer, one, two)
    writer.range().put(one)

    def away() -> None:
        raise UnavailableError("repository-unreachable", "a repository cannot be reached", "two")

    two.before[2] = away
    shelf = seen(writer, one, two)
    assert [holding.reachable for holding in shelf.holdings] == [True, False]
    assert len(shelf.records) == 5
