"""The scheduler on a real server: what is due is done without anybody asking, by one of several that run, and a kill
loses nothing and doubles nothing."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.thread.daemon import until
from tests.thread.world import World, world


class Listener:
    """A real HTTP server that keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                listener.got.append((self.path, body))
                self.send_response(200)
                self.end_headers()

            do_GET = do_POST = _take

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def bodies(self, path: str) -> list[str]:
        return [body for where, body in self.got if where.startswith(path)]


@contextmanager
def listening() -> Iterator[Listener]:
    made = Listener()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


@pytest.fixture(scope="module")
def heard() -> Iterator[Listener]:
    with listening() as made:
        yield made


@pytest.fixture(scope="module")
def made(heard: Listener) -> Iterator[World]:
    extra = """\
schedule: {lease: 3s, dead_man: "${env:DEAD_MAN}", notify: [dead]}
channels:
  ops: {url: "${env:OPS}", tells: [backup-failed]}
  dead: {url: "${env:DEAD}"}
"""
    with world(extra=extra) as found:
        path = found.plans / "aegis.yaml"
        sites = "  busan: {role: standby, reach: {ssh: aegis@busan-ops}}\nservices:"
        path.write_text(path.read_text().replace("services:", sites, 1))
        found.environment |= {
            "DEAD_MAN": f"http://127.0.0.1:{heard.port}/alive/canary-dead-man",
            "OPS": f"json://127.0.0.1:{heard.port}/ops/canary-channel",
            "DEAD": "json://127.0.0.1:9/canary-dead-channel",
            "AEGIS_LEASE_SECONDS": "3",
        }
        yield found


def records(made: World) -> list[dict[str, Any]]:
    ran = made.ok("schedule", "history", "--json")
    found = json.loads(ran.out)
    assert not found["wrong"]
    records: list[dict[str, Any]] = found["records"]
    return records


def jobs(made: World) -> dict[str, dict[str, Any]]:
    found = json.loads(made.ok("schedule", "list", "--json").out)
    return {one["kind"]: one for one in found["jobs"]}


def sets(made: World) -> list[str]:
    return sorted(path.name for path in made.repository("seoul").glob("v1/aegis/stores/policy-db/*/sets/*"))


def forget(made: World) -> None:
    """All backups are lost, and nobody remembers them: a full is due from this moment on."""
    for name in ("seoul", "busan"):
        shutil.rmtree(made.repository(name) / "v1" / "aegis" / "stores" / "policy-db", ignore_errors=True)
    shutil.rmtree(made.site / "heads" / "policy-db", ignore_errors=True)


class Scheduler:
    """`aegis schedule run` of one world."""

    def __init__(
        self, made: World, site: str = "seoul", env: dict[str, str] | None = None, *, working_copy: bool = True
    ) -> None:
        self.made = made
        self.events: list[dict[str, Any]] = []
        option = ["--working-copy"] if working_copy else []
        self.process = made.start("schedule", "run", "--site", site, "--json", *option, env=env)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.made.outputs.append(text)
            self.events.append(json.loads(text) if text.startswith("{") else {"type": "text", "@message": text})

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        return code


@contextmanager
def scheduler(made: World, site: str = "seoul", *, working_copy: bool = True) -> Iterator[Scheduler]:
    running = Scheduler(made, site, working_copy=working_copy)
    try:
        yield running
    finally:
        running.end(signal.SIGKILL)


def ended(running: Scheduler) -> list[dict[str, Any]]:
    return [event for event in running.events if event["type"] == "round-ended"]


def test_what_was_never_done_is_done_and_put_down(made: World, heard: Listener) -> None:
    before = jobs(made)
    assert before["full"]["state"] == "never done"
    with scheduler(made) as running:
        until(lambda: len(ended(running)) >= 2, lambda: running.events)
        assert running.end() == 0
    assert {"scheduler-begun", "leading", "due", "due-begun", "round-ended", "ended"} <= set(running.kinds())
    assert len(sets(made)) == 1
    found = records(made)
    done = [one for one in found if one["verdict"] == "done"]
    assert done
    assert done[0]["run"] in {path.name for path in made.runs()}
    assert not any(one["due"] for one in jobs(made).values())
    assert heard.bodies("/alive")
    assert made.ok("backup", "--due").out.endswith("Nothing is due.\n")
    assert len(sets(made)) == 1


def test_a_failure_is_told_once_and_so_is_its_end(made: World, heard: Listener) -> None:
    forget(made)
    made.server.stop()
    try:
        for _ in range(2):
            assert made.aegis("backup", "policy-db", "--due", "--aspect", "data").code == 1
    finally:
        made.server.start()
    told = heard.bodies("/ops")
    assert len(told) == 1
    assert "failed" in told[0]
    assert "policy-db" in told[0]
    made.ok("backup", "policy-db", "--due", "--aspect", "data")
    told = heard.bodies("/ops")
    assert len(told) == 2
    assert "works again" in told[1]
    assert len(sets(made)) == 1
    failed = [one for one in records(made) if one["verdict"] == "failed"]
    assert [one["code"] for one in failed] == ["no-primary"] * 2
    # The channel that nobody answers changed nothing, and is told.
    dead = [notice for notice in failed[0]["notices"] if notice["to"] == "dead"]
    assert dead
    assert not dead[0]["ok"]
    everything = "".join(made.outputs) + "".join(told) + json.dumps(records(made))
    for secret in ("canary-channel", "canary-dead-channel", "canary-dead-man"):
        assert secret not in everything


def test_a_standby_takes_over_from_a_killed_leader(made: World) -> None:
    with scheduler(made, "seoul") as leader:
        until(lambda: "leading" in leader.kinds(), lambda: leader.events)
        with scheduler(made, "busan") as standby:
            until(lambda: "standing-by" in standby.kinds(), lambda: standby.events)
            assert "leading" not in standby.kinds()
            leader.end(signal.SIGKILL)
            until(lambda: "leading" in standby.kinds(), lambda: standby.events)
            first, second = (
                next(event["epoch"] for event in one.events if event["type"] == "leading") for one in (leader, standby)
            )
            assert second > first
            # One that ends by TERM lets go, and the next one leads before the lease could have run out.
            assert standby.end() == 0
    with scheduler(made, "seoul") as third:
        until(lambda: "leading" in third.kinds(), lambda: third.events)
        assert third.end() == 0


def test_a_killed_scheduler_and_its_run_lose_and_double_nothing(made: World) -> None:
    forget(made)
    rows = made.rows()
    # The child dies at an early entry of its journal, by the hook of the crash tests, and takes no other with it.
    running = Scheduler(made, env={"AEGIS_KILL_AT": "7"})
    try:
        until(lambda: any(one["verdict"] == "failed" for one in ended(running)), lambda: running.events)
    finally:
        running.end(signal.SIGKILL)
    killed = {path.name.removesuffix(".open") for path in (made.site / "schedule").glob("*.open")}
    with scheduler(made) as second:
        until(lambda: any(one["verdict"] in ("done", "nothing") for one in ended(second)), lambda: second.events)
        assert second.end() == 0
    assert len(sets(made)) == 1
    assert killed & {run for one in records(made) for run in one["unfinished"]}
    assert not any(one["due"] for one in jobs(made).values())
    assert not list((made.site / "schedule").glob("*.open"))
    assert made.rows() == rows


def test_a_repository_that_is_away_is_caught_up(made: World) -> None:
    forget(made)
    place = made.repository("busan")
    away = place.rename(place.with_name("busan away"))
    try:
        made.aegis("backup", "policy-db", "--due", "--aspect", "data")
        there = records(made)[-1]
        assert there["verdict"] == "degraded"
    finally:
        away.rename(place)
    made.ok("backup", "--due")
    for name in ("seoul", "busan"):
        assert list(made.repository(name).glob(f"v1/aegis/_system/schedule/*/{there['id']}.json")), name
    assert not list((made.site / "schedule" / "records").glob("*.json"))


def test_a_forged_record_is_not_believed(made: World) -> None:
    folder = next(made.repository("busan").glob("v1/aegis/_system/schedule/*"))
    genuine = sorted(folder.glob("*.json"))[0]
    data = json.loads(genuine.read_text())
    data["schedule"]["verdict"] = "done"
    data["schedule"]["id"] = "20990101T000000Z-abcdef"
    forged = folder / "20990101T000000Z-abcdef.json"
    forged.write_text(json.dumps(data))
    try:
        ran = made.aegis("schedule", "history", "--json")
        assert ran.code == 1
        found = json.loads(ran.out)
        assert len(found["wrong"]) == 1
        assert "20990101T000000Z-abcdef" not in {one["id"] for one in found["records"]}
    finally:
        forged.unlink()


def test_only_what_is_published_counts(made: World) -> None:
    made.ok("publish", "-y", "--wheels", "none")
    path = made.plans / "aegis.yaml"
    before = path.read_text()
    edited = before.replace("repositories: [seoul, busan]", "repositories: [seoul]")
    assert edited != before
    path.write_text(edited)
    try:
        forget(made)
        made.ok("backup", "policy-db", "--due", "--aspect", "data")
        assert len(list(made.repository("busan").glob("v1/aegis/stores/policy-db/*/sets/*"))) == 1
        with scheduler(made, working_copy=False) as running:
            until(lambda: "documents" in running.kinds(), lambda: running.events)
            said = next(event for event in running.events if event["type"] == "documents")
            assert said["publication"] == 1
            assert said["differ"]
            assert running.end() == 0
        # By those here where that is said.
        forget(made)
        made.ok("backup", "policy-db", "--due", "--aspect", "data", "--working-copy")
        assert not list(made.repository("busan").glob("v1/aegis/stores/policy-db/*/sets/*"))
    finally:
        path.write_text(before)
