"""The scheduler on a real server: what is due is done without anybody asking, by one of several that run, and a kill
loses nothing and doubles nothing."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zoneinfo import ZoneInfo

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


def reschedule(made: World, full: str) -> None:
    path = made.plans / "aegis.yaml"
    changed, count = re.subn(r'full: \{schedule: "[^"]*"', f'full: {{schedule: "{full}"', path.read_text())
    assert count == 1
    path.write_text(changed)


def just_passed() -> str:
    """A schedule whose moment passes while nobody looks: the minute that has begun, every day."""
    moment = datetime.now(ZoneInfo("Asia/Seoul"))
    return f"{moment.minute} {moment.hour} * * *"


class Scheduler:
    """`aegis schedule run` of one world."""

    def __init__(self, made: World, site: str = "seoul") -> None:
        self.made = made
        self.events: list[dict[str, Any]] = []
        self.process = made.start("schedule", "run", "--site", site, "--json", "--working-copy")
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
def scheduler(made: World, site: str = "seoul") -> Iterator[Scheduler]:
    running = Scheduler(made, site)
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
