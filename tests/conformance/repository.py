"""What every kind of repository has to do. A new kind takes one class in `repositories/test_conformance.py`."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator

import pytest

from aegis_plan.clock import SystemClock
from aegis_plan.errors import AegisError, DamageError, LockedError, UnavailableError
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.local import LocalUpload

SMALL = b"some bytes of a record"
LARGE = os.urandom(1 << 20) * 12


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def send(repository: Repository, key: str, data: bytes, piece: int = 700_001) -> None:
    upload = repository.open(key)
    for begin in range(0, len(data), piece):
        upload.write(data[begin : begin + piece])
    upload.commit(digest(data))


class RepositoryConformance:
    """Subclasses give `repository`: a new, empty one for each test, slow to make or not."""

    @pytest.fixture
    def repository(self) -> Iterator[Repository]:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()

    @pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "parts"])
    def test_what_was_written_is_read(self, repository: Repository, data: bytes) -> None:
        send(repository, "v1/a/object", data)
        head = repository.head("v1/a/object")
        assert head is not None
        assert head.size == len(data)
        assert head.sha256 in (None, digest(data))
        assert read(repository, "v1/a/object") == data

    def test_ranges(self, repository: Repository) -> None:
        send(repository, "ranged", LARGE)
        for begin, length in [(0, 1), (0, len(LARGE)), (5 << 20, 100), (len(LARGE) - 1, 1), (77, 3 << 20), (5, 0)]:
            assert b"".join(repository.get("ranged", begin, length)) == LARGE[begin : begin + length]
        assert b"".join(repository.get("ranged", len(LARGE) - 3)) == LARGE[-3:]

    def test_asking_for_more_than_there_is_fails(self, repository: Repository) -> None:
        repository.put("short", SMALL)
        for begin, length in [(0, len(SMALL) + 1), (len(SMALL) - 1, 2), (len(SMALL) + 5, 1)]:
            with pytest.raises(UnavailableError) as caught:
                list(repository.get("short", begin, length))
            assert caught.value.code == "short-read"

    def test_what_is_not_there(self, repository: Repository) -> None:
        assert repository.head("none/such") is None
        assert repository.read_tagged("none/such") is None
        assert list(repository.listing("none/")) == []
        repository.delete("none/such")
        with pytest.raises(AegisError) as caught:
            list(repository.get("none/such"))
        assert caught.value.code == "object-missing"

    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "parts"])
    def test_nothing_is_overwritten(self, repository: Repository, data: bytes) -> None:
        send(repository, "kept", data)
        send(repository, "kept", data)
        other = bytes([data[0] ^ 1]) + data[1:]
        for wrong in (other, data + b"x", data[:-1]):
            with pytest.raises(DamageError) as caught:
                send(repository, "kept", wrong)
            assert caught.value.code == "object-conflict"
        assert read(repository, "kept") == data

    def test_two_writers_of_one_key(self, repository: Repository) -> None:
        bodies = [bytes([number]) * (6 << 20) for number in range(3)]
        outcomes: list[str] = []
        start = threading.Barrier(len(bodies))

        def attempt(body: bytes) -> None:
            start.wait()
            try:
                send(repository, "raced", body)
                outcomes.append("won")
            except DamageError as error:
                outcomes.append(error.code)

        threads = [threading.Thread(target=attempt, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["object-conflict", "object-conflict", "won"]
        assert read(repository, "raced") in bodies

    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "parts"])
    def test_nothing_shows_before_commit_or_after_abort(self, repository: Repository, data: bytes) -> None:
        upload = repository.open("hidden/one")
        upload.write(data)
        assert repository.head("hidden/one") is None
        assert list(repository.listing("hidden/")) == []
        upload.abort()
        upload.abort()
        assert repository.head("hidden/one") is None
        assert repository.sweep("", -5) == []

    def test_bytes_that_are_not_those_of_the_digest_are_refused(self, repository: Repository) -> None:
        upload = repository.open("wrong")
        upload.write(SMALL)
        with pytest.raises(DamageError):
            upload.commit(digest(b"something else"))
        assert repository.head("wrong") is None

    def test_unfinished_uploads_are_swept_by_age(self, repository: Repository) -> None:
        upload = repository.open("left/behind")
        upload.write(LARGE)
        assert repository.sweep("", 3600) == []
        written = getattr(upload, "_inner", upload)  # of a repository that is wrapped
        if isinstance(written, LocalUpload):
            assert repository.sweep("", -5) == [], "a process that lives is at work on it"
            written._file.close()  # as it is when the process was killed
        assert len(repository.sweep("", -5)) == 1
        assert repository.sweep("", -5) == []
        upload.abort()
        assert repository.head("left/behind") is None

    def test_listing_is_sorted_and_exact(self, repository: Repository) -> None:
        names = ["v1/s/a-b/x", "v1/s/a/x", "v1/s/a/y/z", "v1/s/ab", "v1/t/q"]
        for name in reversed(names):
            repository.put(name, name.encode())
        listed = list(repository.listing("v1/s/a"))
        assert [found.key for found in listed] == names[:4]
        assert [found.size for found in listed] == [len(name) for name in names[:4]]
        assert [found.key for found in repository.listing("v1/s/a/")] == ["v1/s/a/x", "v1/s/a/y/z"]
        assert [found.key for found in repository.listing("")] == names

    def test_folders_are_named_once_and_without_what_lies_beside_them(self, repository: Repository) -> None:
        for name in ("v1/s/a-b/x", "v1/s/a/x", "v1/s/a/y/z", "v1/s/a.json", "v1/t/q/r"):
            repository.put(name, SMALL)
        assert repository.folders("v1/s/") == ("a", "a-b")
        assert repository.folders("v1/s/a/") == ("y",)
        assert repository.folders("v1/nothing/") == ()

    def test_a_listing_marks_what_was_changed(self, repository: Repository) -> None:
        for name in ("marked/one", "marked/two"):
            repository.put(name, SMALL)
        first = {found.key: found.tag for found in repository.listing("marked/")}
        assert all(first.values())
        repository.delete("marked/one")
        repository.put("marked/one", SMALL[::-1])
        second = {found.key: found.tag for found in repository.listing("marked/")}
        assert second["marked/one"] != first["marked/one"]
        assert second["marked/two"] == first["marked/two"]

    def test_deleting(self, repository: Repository) -> None:
        repository.put("d/one", SMALL)
        repository.put("d/two", SMALL)
        repository.delete("d/one")
        repository.delete("d/one")
        assert [found.key for found in repository.listing("d/")] == ["d/two"]

    def test_a_conditional_object_changes_only_from_the_known_state(self, repository: Repository) -> None:
        first = repository.compare_and_set("state/lease", None, b"1")
        assert repository.read_tagged("state/lease") == (b"1", first)
        for wrong in (None, "other-tag"):
            with pytest.raises(LockedError) as caught:
                repository.compare_and_set("state/lease", wrong, b"2")
            assert caught.value.code == "lease-moved"
        second = repository.compare_and_set("state/lease", first, b"2")
        assert repository.read_tagged("state/lease") == (b"2", second)
        with pytest.raises(LockedError):
            repository.compare_and_set("state/lease", first, b"3")
        with pytest.raises(LockedError):
            repository.compare_and_set("state/none", first, b"3")

    def test_one_of_many_wins_each_round(self, repository: Repository) -> None:
        tag: str | None = None
        for turn in range(3):
            wins: list[str] = []
            lost: list[str] = []
            start = threading.Barrier(4)

            def attempt(
                body: bytes, expected: str | None, start: threading.Barrier, wins: list[str], lost: list[str]
            ) -> None:
                start.wait()
                try:
                    wins.append(repository.compare_and_set("raced/lease", expected, body))
                except AegisError as error:
                    lost.append(error.code)

            bodies = [b"%d by %d" % (turn, number) for number in range(4)]
            threads = [threading.Thread(target=attempt, args=(body, tag, start, wins, lost)) for body in bodies]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert (len(wins), lost) == (1, ["lease-moved"] * 3)
            tag = wins[0]
