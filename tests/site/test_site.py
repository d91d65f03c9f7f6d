"""What a site does on its own: its ledger after a kill, secrets that stay hidden, keys that others can read, the
daemon that runs once."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis_plan.actions import standing
from aegis_plan.clock import SystemClock
from aegis_plan.dispatch.contract import Outcome
from aegis_plan.dispatch.local import LocalDispatcher
from aegis_plan.errors import AegisError
from aegis_plan.site import lock, sitefile
from aegis_plan.site.context import Stop
from aegis_plan.site.runner import Runner
from aegis_plan.site.secrets import Resolver
from tests.conformance.rig import Place, outcome, until

CLAIM = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from aegis_plan.dispatch.contract import Attempt
from aegis_plan.site.alive import started
from aegis_plan.site.ledger import Ledger
attempt = Attempt.model_validate_json(sys.argv[2])
assert Ledger(Path(sys.argv[1]), datetime.now(UTC)).claim(
    attempt, os.getpid(), started(os.getpid()), datetime.now(UTC)) is None
os.kill(os.getpid(), signal.SIGKILL)
"""


def runner(place: Place, **environment: str) -> Runner:
    secrets = Resolver({**os.environ, **environment}, place.base)
    return Runner(sitefile.load(place.file), SystemClock(), secrets)


def test_a_kill_between_claim_and_settle_leaves_unknown_for_good(tmp_path: Path) -> None:
    place = Place(tmp_path)
    attempt = place.attempt()
    subprocess.run([sys.executable, "-c", CLAIM, str(place.folder), attempt.model_dump_json()], check=False)
    here = runner(place)
    found = here.run(attempt, Stop(here.clock), lambda _: None)
    assert isinstance(found, Outcome)
    assert found.verdict == "unknown"
    assert place.wrote() == []
    again = here.run(place.attempt(number=2), Stop(here.clock), lambda _: None)
    assert isinstance(again, Outcome)
    assert again.verdict == "done"


JAM = (
    'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute("create trigger jam before update on claims'
    " begin select raise(abort, 'database or disk is full'); end\"); db.commit()"
)
"""Lets no attempt be settled any more, as a full disk does."""


def test_an_effect_whose_end_cannot_be_written_down_is_never_called_not_started(tmp_path: Path) -> None:
    place = Place(tmp_path)
    jam = shlex.join([sys.executable, "-c", JAM, str(place.folder / "ledger.sqlite")])
    carry = LocalDispatcher({place.site: place.command}, silence=5.0)
    try:
        attempt = place.attempt(script=jam)
        carry.submit(attempt)
        found = outcome(carry, attempt.key)
        assert found.verdict == "done"
        assert [note.code for note in found.findings] == ["ledger-unusable"]
        carry.close()
        # Whoever asks later has only the ledger, and that does not know.
        carry = LocalDispatcher({place.site: place.command}, silence=5.0)
        carry.attach(attempt)
        assert outcome(carry, attempt.key).verdict == "unknown"
    finally:
        carry.close()
    assert place.wrote() == ["begin work", "end work"]


def test_a_damaged_ledger_is_told_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    place = Place(tmp_path)
    here = runner(place)
    for number in range(1, 40):
        here.run(place.attempt(number=number), Stop(here.clock), lambda _: None)
    here.close()
    ledger = place.folder / "ledger.sqlite"
    with ledger.open("r+b") as file:
        # What tells that it is a ledger stays whole.
        file.seek(8192)
        file.write(os.urandom(ledger.stat().st_size - 8192))
    carry = LocalDispatcher({place.site: place.command}, silence=5.0)
    try:
        late = place.attempt("late")
        carry.submit(late)
        found = outcome(carry, late.key)
        assert found.trouble is not None
        assert (found.verdict, found.trouble.code) == ("not_started", "ledger-unusable")
        earlier = place.attempt()
        carry.attach(earlier)
        assert outcome(carry, earlier.key).verdict == "unknown"
    finally:
        carry.close()
    assert "begin late" not in place.wrote()


def test_time_that_ran_out_while_the_lock_was_waited_for_begins_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    here = runner(place)
    held = lock.take(place.folder, "db/data")
    assert held is not None
    attempt = place.attempt(start_by=datetime.now(UTC) + timedelta(seconds=0.2))
    letting_go = threading.Timer(0.6, held.release)
    letting_go.start()
    found = here.run(attempt, Stop(here.clock), lambda _: None)
    letting_go.join()
    assert isinstance(found, Outcome)
    assert found.trouble is not None
    assert (found.verdict, found.trouble.code) == ("not_started", "start-too-late")
    assert place.wrote() == []


def test_a_secret_leaves_in_no_form(tmp_path: Path) -> None:
    place = Place(tmp_path)
    here = runner(place, DSN="host=db password='p@ss word'", URL="postgresql://me:s%40cret@db/x")
    script = "echo p@ss word; echo p%40ss%20word; echo s@cret; echo s%40cret; exit 3"
    attempt = place.attempt(params={"run": ["/bin/sh", "-c", script, "${env:DSN}", "${env:URL}"]})
    found = here.run(attempt, Stop(here.clock), lambda _: None)
    kept = here.state(attempt.key)
    assert found == kept
    text = kept.model_dump_json()
    assert "ended with code 3" in text
    for secret in ("p@ss", "p%40ss", "s@cret", "s%40cret"):
        assert secret not in text


def test_an_unset_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(AegisError, match="NOT_SET") as caught:
        Resolver({}, tmp_path).text("${env:NOT_SET}")
    assert caught.value.code == "secret-unresolved"


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = sitefile.load(place.file)
    assert len(sitefile.keys(file, Resolver({}, tmp_path)).signing or b"") == 32
    (tmp_path / "seoul.sign").chmod(0o640)
    with pytest.raises(AegisError) as caught:
        sitefile.keys(file, Resolver({}, tmp_path))
    assert caught.value.code == "key-exposed"


@pytest.mark.parametrize(
    "text", ["", "aegis-site: v2", "- a", "aegis-site: v1\nsite: Seoul\nfolder: x", "a: [", "x: 1"]
)
def test_a_site_file_without_sense_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(AegisError) as caught:
        sitefile.load(path)
    assert caught.value.code == "site-file-invalid"


def test_a_look_writes_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    here = runner(place)
    attempt = place.attempt(verb="look", action="look-site", resource="")
    found = here.run(attempt, Stop(here.clock), lambda _: None)
    assert isinstance(found, Outcome)
    assert found.outputs["daemon"] is None
    assert not place.folder.exists()


def test_time_that_is_up_ends_the_program_and_is_a_failure(tmp_path: Path) -> None:
    place = Place(tmp_path)
    here = runner(place)
    found = here.run(place.attempt(script="sleep 30", timeout=0.3), Stop(here.clock), lambda _: None)
    assert isinstance(found, Outcome)
    assert found.trouble is not None
    assert (found.verdict, found.trouble.code) == ("failed", "attempt-timed-out")
    assert place.wrote() == ["begin work"]


def test_one_daemon_a_site_and_it_tells_what_it_does(tmp_path: Path) -> None:
    place = Place(tmp_path)
    command = [sys.executable, "-m", "aegis_plan", "site", "run", "--file", str(place.file)]
    first = subprocess.Popen(command)
    try:
        said = until(lambda: (standing.daemon(place.folder) or {}).get("pid") and standing.daemon(place.folder))
        assert said["pid"] == first.pid
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 5
        assert "daemon-running" in second.stderr
        here = runner(place)
        params = {"store": "db", "member": "a", "slot": "aegis_db"}
        declared = {"aegis": "v1", "system": {"name": "aegis"}}
        with standing.changing(place.folder) as streams:
            streams["db"] = {"params": params, "declared": declared, "run": "r"}
        until(lambda: (standing.daemon(place.folder) or {})["streams"].get("db", {}).get("state") == "failed")
        stop = place.attempt("stop", action="stop-log-stream", params=params, resource="db/stream")
        found = here.run(stop, Stop(here.clock), lambda _: None)
        assert isinstance(found, Outcome)
        assert found.verdict == "done", found
        assert (standing.daemon(place.folder) or {})["streams"] == {}
    finally:
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0
    assert standing.daemon(place.folder) is None
    assert json.loads((place.folder / "daemon.json").read_text())["pid"] == first.pid


def test_a_stream_without_a_daemon_is_declared_with_a_warning_and_taken_back(tmp_path: Path) -> None:
    place = Place(tmp_path)
    here = runner(place)
    fields = {"action": "start-log-stream", "params": {"store": "db", "member": "a", "slot": "s"}}
    found = here.run(place.attempt(**fields), Stop(here.clock), lambda _: None)
    assert isinstance(found, Outcome)
    assert [note.code for note in found.findings] == ["daemon-not-running"]
    assert set(standing.streams(place.folder)) == {"db"}
    back = place.attempt(**fields, verb="undo", earlier={"marks": [mark.model_dump() for mark in found.marks]})
    assert here.run(back, Stop(here.clock), lambda _: None).model_dump()["verdict"] == "done"
    assert standing.streams(place.folder) == {}
    assert datetime.now(UTC) > found.marks[0].at
