"""What an old data directory still gives: with the server dead and its log readable, nothing that was acknowledged is
lost, though the last log backup is old; and nothing of the kind is claimed where the log is damaged."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.thread.history import protected_again
from tests.thread.world import World, world

NOTHING_LOST = "nothing that was acknowledged was lost"


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """A protected store whose server makes its commits durable."""
    with world() as made:
        made.sql("ALTER SYSTEM SET fsync = on")
        made.sql("SELECT pg_reload_conf()")
        made.sql("CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)")
        made.ok("apply", "-y")
        assert made.sql("SHOW fsync") == [("on",)]
        yield made


class Writers:
    """Connections that commit one row after another and note each that the server acknowledged."""

    def __init__(self, made: World, count: int = 4) -> None:
        self.world = made
        self.acknowledged: list[int] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def _write(self, number: int) -> None:
        try:
            with self.world.server.connect() as connection:
                while not self.over.is_set():
                    row = connection.execute(
                        "INSERT INTO orders (body) VALUES (repeat(md5(random()::text), %s)) RETURNING id",
                        (1 + number * 20,),
                    ).fetchone()
                    assert row is not None
                    self.acknowledged.append(row[0])
        except psycopg.OperationalError:
            pass  # the server is gone, as it should be

    def reach(self, count: int) -> None:
        limit = time.monotonic() + 60
        while len(self.acknowledged) < count:
            assert time.monotonic() < limit, "the writers are too slow"
            time.sleep(0.02)

    def killed(self) -> set[int]:
        """Kills the server under them; gives what it acknowledged until then."""
        self.world.server.kill()
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        return set(self.acknowledged)


def ids(made: World) -> set[int]:
    return {number for (number,) in made.sql("SELECT id FROM orders")}


def recovered(made: World) -> str:
    """Plans and applies the recovery; gives the summary of the run."""
    plan = made.aegis("plan", "--scenario", "database-failure", "--out", "tail.plan")
    assert plan.code == 0, plan.text
    assert "nothing is lost that came before" in plan.text
    assert "log that was not archived is taken from it" in plan.text
    (made.folder / "tail.plan.shown").write_text(plan.text)
    return made.ok("apply", "-y", "tail.plan").text


def rpa(made: World) -> tuple[float | None, str]:
    """What the last run lost, in seconds, and how that is known."""
    told = json.loads(made.ok("runs", "last", "--json").out)
    found = [one for one in _achieved(told) if one["objective"] == "rpa"]
    return found[0]["seconds"], found[0]["basis"]


def _achieved(told: dict) -> list[dict]:  # type: ignore[type-arg]
    if "achieved" in told:
        return list(told["achieved"])
    return next(_achieved(inner) for inner in told.values() if isinstance(inner, dict) and "achieved" in str(inner))


def test_killed_while_many_commit(shared: World) -> None:
    writers = Writers(shared)
    writers.reach(500)
    acknowledged = writers.killed()
    text = recovered(shared)
    missing = acknowledged - ids(shared)
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged commits are gone"
    assert NOTHING_LOST in " ".join(text.split())
    assert rpa(shared)[0] == 0
    protected_again(shared)


def test_over_several_segments_and_a_checkpoint(shared: World) -> None:
    before = ids(shared)
    writers = Writers(shared)
    for count in (100, 200, 300):
        writers.reach(count)
        shared.sql("SELECT pg_switch_wal()")
    shared.sql("CHECKPOINT")
    writers.reach(500)
    acknowledged = writers.killed()
    text = recovered(shared)
    assert not (acknowledged | before) - ids(shared)
    assert NOTHING_LOST in " ".join(text.split())
    protected_again(shared)


def test_an_idle_server_whose_log_was_archived_whole(shared: World) -> None:
    before = ids(shared)
    shared.ok("backup", "policy-db", "--log", "-y")
    shared.server.kill()
    text = recovered(shared)
    assert ids(shared) == before
    assert NOTHING_LOST in " ".join(text.split())


def test_base_files_are_broken_but_the_log_can_be_read(shared: World) -> None:
    writers = Writers(shared, 2)
    writers.reach(200)
    acknowledged = writers.killed()
    for path in (shared.server.data / "base").rglob("*"):
        if path.is_file():
            path.write_bytes(b"broken" * 100)
    text = recovered(shared)
    assert not acknowledged - ids(shared)
    assert NOTHING_LOST in " ".join(text.split())
    protected_again(shared)


def test_without_its_control_file_the_log_can_still_be_read(shared: World) -> None:
    writers = Writers(shared, 2)
    writers.reach(200)
    acknowledged = writers.killed()
    shutil.rmtree(shared.server.data / "global")
    shutil.rmtree(shared.server.data / "base")
    text = recovered(shared)
    assert not acknowledged - ids(shared)
    assert NOTHING_LOST in " ".join(text.split())
    protected_again(shared)


def segments(made: World) -> list[Path]:
    return sorted(path for path in (made.server.data / "pg_wal").iterdir() if len(path.name) == 24)


@pytest.mark.parametrize("where", ["a segment in the middle", "a page of the last segment"])
def test_a_damaged_log_is_never_called_whole(shared: World, where: str) -> None:
    shared.ok("backup", "policy-db", "--log", "-y")
    before = ids(shared)
    writers = Writers(shared, 2)
    writers.reach(100)
    if where == "a segment in the middle":
        shared.sql("SELECT pg_switch_wal()")
        # The segment has to be fuller than the place of the damage, however fast they are.
        writers.reach(len(writers.acknowledged) + 200)
        shared.sql("SELECT pg_switch_wal()")
    writers.reach(len(writers.acknowledged) + 200)
    name, offset = shared.sql("SELECT file_name, file_offset FROM pg_walfile_name_offset(pg_current_wal_flush_lsn())")[
        0
    ]
    acknowledged = writers.killed()
    if where == "a segment in the middle":
        path = next(
            one for one, after in zip(segments(shared), segments(shared)[1:], strict=False) if after.name == name
        )
        place = 3 * 8192 + 4000
    else:
        path, place = shared.server.data / "pg_wal" / name, max(offset - 5 * 8192, 64)
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"\xff" * 64)
    shared.ok("plan", "--scenario", "database-failure", "--out", "tail.plan")
    ran = shared.aegis("apply", "-y", "tail.plan")
    assert ran.code in (0, 3), ran.text
    assert NOTHING_LOST not in " ".join(ran.text.split())
    assert "old-log-damaged" in ran.text
    assert before <= ids(shared)
    assert acknowledged - ids(shared), "the damage was no damage"
    lost, basis = rpa(shared)
    assert lost is not None
    assert lost > 0, basis
    protected_again(shared)
