"""The journal on the disk: chained, cut, damaged, locked, mirrored, replayed."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aegis_plan.clock import SystemClock
from aegis_plan.errors import AegisError, DamageError, LockedError, UnavailableError
from aegis_plan.journal.file import NAME, Draft, Journal, active, read
from aegis_plan.journal.history import past
from aegis_plan.journal.mirror import Mirror
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Head
from aegis_plan.repositories.contract import read as read_object
from aegis_plan.repositories.local import LocalRepository

CLOCK = SystemClock()


def written(folder: Path, count: int = 5) -> Path:
    with Journal.create(folder, CLOCK) as journal:
        journal.append([Draft("begun", data={"run": "run-1"})])
        for number in range(count - 1):
            journal.append([Draft("settled", f"step-{number}", {"state": "done"})])
    return folder / NAME


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = path.read_bytes()
    journal, entries = Journal.open(tmp_path, CLOCK)
    more = journal.append([Draft("stopping", data={"why": "한글 \n"}), Draft("ended", data={"verdict": "done"})])
    journal.close()
    assert [entry.number for entry in read(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]
    assert read(tmp_path) == entries + more
    assert path.read_bytes().startswith(before)
    assert path.stat().st_mode & 0o077 == 0


def test_a_last_line_cut_at_any_byte_is_taken_off(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        journal, entries = Journal.open(tmp_path, CLOCK)
        journal.close()
        assert len(entries) == 4
        assert path.read_bytes() == whole[:start]


def test_any_byte_changed_before_the_last_line_is_damage(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for place in range(last):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamageError) as damaged:
            read(tmp_path)
        assert damaged.value.code == "journal-damaged"
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(DamageError, match="entry 3"):
        Journal.open(tmp_path, CLOCK)


def test_a_run_has_one_executor_and_the_kernel_frees_it(tmp_path: Path) -> None:
    written(tmp_path)
    code = textwrap.dedent(
        """
        import sys, pathlib
        from aegis_plan.clock import SystemClock
        from aegis_plan.journal.file import Journal
        journal, _ = Journal.open(pathlib.Path(sys.argv[1]), SystemClock())
        print("open", flush=True)
        sys.stdin.read()
        """
    )
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(LockedError, match=f"process {child.pid} on") as refused:
            Journal.open(tmp_path, CLOCK)
        assert refused.value.code == "run-active"
        assert str(child.pid) in (active(tmp_path) or "")
    finally:
        child.kill()
        child.communicate()
    Journal.open(tmp_path, CLOCK)[0].close()
    assert active(tmp_path) is None


def test_a_run_that_is_not_there_and_one_that_is(tmp_path: Path) -> None:
    with pytest.raises(AegisError) as unknown:
        Journal.open(tmp_path / "none", CLOCK)
    assert unknown.value.code == "run-unknown"
    written(tmp_path)
    with pytest.raises(AegisError) as exists:
        Journal.create(tmp_path, CLOCK)
    assert exists.value.code == "run-exists"


class Away(LocalRepository):
    """A repository that is away until it is told otherwise."""

    away = True

    def put(self, key: str, data: bytes) -> Head:
        if self.away:
            raise UnavailableError("repository-unreachable", "away", self.name)
        return super().put(key, data)


def seal(number: int, data: bytes) -> bytes:
    return b"sealed" + data[::-1]


def test_entries_reach_the_mirrors_and_an_earlier_lifes_are_made_up_for(tmp_path: Path) -> None:
    far = Away("far", tmp_path / "far")
    journal = Journal.create(tmp_path / "run", CLOCK, Mirror([far], "aegis", "run-1", seal))
    journal.append([Draft("begun"), Draft("stopping")])
    assert not journal.mirrored(2, 0.3)
    assert journal.mirror_trouble is not None
    journal.close()
    far.away = False
    near = LocalRepository("near", tmp_path / "near")
    journal, _ = Journal.open(tmp_path / "run", CLOCK, Mirror([far, near], "aegis", "run-1", seal))
    number = journal.append([Draft("resumed")])[-1].number
    assert journal.mirrored(number, 10)
    journal.close(flush=10)
    lines = (tmp_path / "run" / NAME).read_bytes().splitlines()
    for repository in (far, near):
        assert mirrored(repository) == lines


def mirrored(repository: LocalRepository) -> list[bytes]:
    """The lines that a mirror holds, each range where the one before it ended."""
    found: list[bytes] = []
    for listed in repository.listing(keys.run_entries("aegis", "run-1", 0, 0).removesuffix("00000000-00000000")):
        first, last = map(int, listed.key.rpartition("/")[2].split("-"))
        assert first == len(found) + 1
        found += read_object(repository, listed.key).removeprefix(b"sealed")[::-1].split(b"\n")
        assert last == len(found)
    return found


def test_lines_that_nobody_waits_for_go_together_and_each_life_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    far = LocalRepository("far", tmp_path / "far")
    journal = Journal.create(tmp_path / "run", CLOCK, Mirror([far], "aegis", "run-1", seal))
    for _ in range(200):
        journal.append([Draft("stopping")])
    journal.close(flush=10)
    first = [listed.key for listed in far.listing("")]
    assert len(first) < 50
    journal, _ = Journal.open(tmp_path / "run", CLOCK, Mirror([far], "aegis", "run-1", seal))
    for _ in range(3):
        number = journal.append([Draft("stopping")])[-1].number
        assert journal.mirrored(number, 10)
    journal.close(flush=10)
    assert len(far_keys := [listed.key for listed in far.listing("")]) == len(first) + 3, far_keys
    assert mirrored(far) == (tmp_path / "run" / NAME).read_bytes().splitlines()


def test_the_past_counts_what_succeeded_in_journals_that_can_be_trusted(tmp_path: Path) -> None:
    def sent(key: str) -> Draft:
        return Draft("sent", "a", {"key": key, "verb": "act", "number": 1, "action": "backup", "subject": "db"})

    def ended(key: str, verdict: str, second: int) -> Draft:
        outcome = {"verdict": verdict, "begun": "2026-11-23T12:00:00Z", "ended": f"2026-11-23T12:00:{second:02}Z"}
        return Draft("outcome", "a", {"key": key, "verb": "act", "outcome": {**outcome, "outputs": {"bytes": 100}}})

    for run, seconds in (("r1", 10), ("r2", 20), ("r3", 50)):
        with Journal.create(tmp_path / run, CLOCK) as journal:
            journal.append([sent("k1"), ended("k1", "done", seconds), sent("k2"), ended("k2", "failed", 59)])
    path = tmp_path / "r3" / NAME
    path.write_bytes(path.read_bytes().replace(b"12:00:50", b"12:00:51"))
    assert past(tmp_path) == [("backup", "db", 2, 15.0, 15.0, 20.0, 100)]
    assert past(tmp_path / "none") == []


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, CLOCK)
    journal.close()
    with pytest.raises(AegisError) as refused:
        journal.append([Draft("begun")])
    assert refused.value.code == "journal-unwritable"


def test_what_a_full_disk_cut_off_does_not_stand_before_a_later_entry(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal.create(tmp_path / "run", SystemClock()) as journal:
        journal.append([Draft("begun", "", {"run": "r"})])
        size = (tmp_path / "run" / NAME).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, hard))
        try:
            with pytest.raises(AegisError) as caught:
                journal.append([Draft("stopping", "", {"why": "x" * 200})])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.code == "journal-unwritable"
        journal.append([Draft("ended", "", {"verdict": "failed"})])
    assert [entry.kind for entry in read(tmp_path / "run")] == ["begun", "ended"]
