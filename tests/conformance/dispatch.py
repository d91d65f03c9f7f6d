"""What every carrier of attempts has to do. Effects are lines that real commands write into a file.

A carrier passes by a subclass that gives `carrier` and, where it can, `worker` and `coordinator`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis_plan.dispatch.contract import Dispatcher, Outcome
from tests.conformance.rig import Place, outcome, until

SLOW = "sleep 30"


class DispatcherSuite:
    """Subclasses give the two functions that raise here."""

    def carrier(self, place: Place) -> Dispatcher:
        """A dispatcher to the place, with a silence of about 2 seconds."""
        raise NotImplementedError

    def worker(self, place: Place) -> int:
        """Process id of the worker that serves the place."""
        raise NotImplementedError

    def coordinator(self, place: Place, script: str) -> list[str]:
        """A command that submits one attempt running `script` and then sleeps."""
        raise NotImplementedError

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(tmp_path)

    @pytest.fixture
    def carry(self, place: Place) -> Iterator[Dispatcher]:
        carrier = self.carrier(place)
        yield carrier
        carrier.close()

    def test_plain(self, place: Place, carry: Dispatcher) -> None:
        attempt = place.attempt()
        carry.submit(attempt)
        found = outcome(carry, attempt.key)
        assert (found.verdict, found.outputs["code"]) == ("done", 0)
        assert found.ledger == carry.ledger(place.site)
        assert place.wrote() == ["begin work", "end work"]

    def test_the_same_key_twice_acts_once(self, place: Place, carry: Dispatcher) -> None:
        attempt = place.attempt()
        for _ in range(2):
            carry.submit(attempt)
        first = outcome(carry, attempt.key)
        other = self.carrier(place)
        try:
            other.submit(attempt)
            assert outcome(other, attempt.key) == first
        finally:
            other.close()
        assert place.wrote() == ["begin work", "end work"]

    def test_a_killed_worker_is_unknown_and_its_orphan_ends_before_the_next(
        self, place: Place, carry: Dispatcher
    ) -> None:
        attempt = place.attempt(script=SLOW)
        carry.submit(attempt)
        until(place.wrote)
        os.kill(self.worker(place), signal.SIGKILL)
        assert outcome(carry, attempt.key).verdict == "unknown"
        again = place.attempt(number=2)
        carry.submit(again)
        assert outcome(carry, again.key).verdict == "done"
        assert place.wrote() == ["begin work", "begin work", "end work"]

    def test_a_frozen_worker_is_unknown_and_its_late_answer_is_taken(self, place: Place, carry: Dispatcher) -> None:
        attempt = place.attempt(script="sleep 1")
        carry.submit(attempt)
        until(place.wrote)
        worker = self.worker(place)
        os.kill(worker, signal.SIGSTOP)
        try:
            assert outcome(carry, attempt.key).verdict == "unknown"
            late = place.attempt("late", resource="other/data")
            carry.submit(late)
            assert outcome(carry, late.key).verdict == "not_started"
        finally:
            os.kill(worker, signal.SIGCONT)
        until(lambda: isinstance(found := carry.poll(attempt.key), Outcome) and found.verdict == "done")
        assert place.wrote() == ["begin work", "end work"]

    def test_a_site_that_is_down_starts_nothing_also_when_it_is_back(self, place: Place, carry: Dispatcher) -> None:
        moved = place.file.rename(place.file.with_suffix(".away"))
        attempt = place.attempt()
        carry.submit(attempt)
        found = outcome(carry, attempt.key)
        assert found.verdict == "not_started"
        assert found.trouble is not None
        moved.rename(place.file)
        again = place.attempt("again", number=2)
        carry.submit(again)
        assert outcome(carry, again.key).verdict == "done"
        assert place.wrote() == ["begin again", "end again"]

    def test_a_busy_resource_names_its_holder(self, place: Place, carry: Dispatcher) -> None:
        first, second = place.attempt("first", SLOW), place.attempt("second")
        carry.submit(first)
        until(place.wrote)
        carry.submit(second)
        found = outcome(carry, second.key)
        assert found.verdict == "not_started"
        assert found.trouble is not None
        assert found.trouble.code == "resource-busy"
        assert first.key in found.trouble.detail
        carry.cancel(first.key, "enough")
        assert outcome(carry, first.key).verdict == "cancelled"
        assert place.wrote() == ["begin first"]

    def test_cancel_ends_the_program(self, place: Place, carry: Dispatcher) -> None:
        attempt = place.attempt(script=SLOW)
        carry.submit(attempt)
        until(place.wrote)
        carry.cancel(attempt.key, "the person changed their mind")
        found = outcome(carry, attempt.key)
        assert found.verdict == "cancelled"
        assert found.trouble is not None
        assert found.trouble.detail == "the person changed their mind"
        assert place.wrote() == ["begin work"]

    def test_an_epoch_below_the_highest_is_refused(self, place: Place, carry: Dispatcher) -> None:
        for step, epoch in (("new", 5), ("old", 4)):
            carry.submit(place.attempt(step, epoch=epoch))
            found = outcome(carry, place.attempt(step).key)
        assert found.verdict == "failed"
        assert found.trouble is not None
        assert found.trouble.code == "epoch-old"
        assert place.wrote() == ["begin new", "end new"]

    def test_too_late_is_not_started(self, place: Place, carry: Dispatcher) -> None:
        attempt = place.attempt(start_by=datetime.now(UTC) - timedelta(seconds=1))
        carry.submit(attempt)
        found = outcome(carry, attempt.key)
        assert found.verdict == "not_started"
        assert found.trouble is not None
        assert found.trouble.code == "start-too-late"
        assert place.wrote() == []

    def test_a_key_that_nobody_carried_is_not_started(self, place: Place, carry: Dispatcher) -> None:
        found = carry.poll(place.attempt("never").key)
        assert isinstance(found, Outcome)
        assert found.verdict == "not_started"
        assert not place.folder.exists()

    def test_a_killed_coordinator_is_followed_by_another(self, place: Place) -> None:
        attempt = place.attempt()
        life = subprocess.Popen(self.coordinator(place, SLOW))
        until(place.wrote)
        life.send_signal(signal.SIGKILL)
        life.wait()
        carry = self.carrier(place)
        try:
            carry.attach(attempt)
            found = outcome(carry, attempt.key)
            assert found.verdict == "cancelled", found
            assert found.ledger == carry.ledger(place.site)
        finally:
            carry.close()
        assert place.wrote() == ["begin work"]


LIFE = """
import sys, time
from pathlib import Path
from aegis_plan.dispatch.local import LocalDispatcher
from tests.conformance.rig import Place
place = Place(Path(sys.argv[1]))
carry = LocalDispatcher({place.site: place.command})
carry.submit(place.attempt(script=sys.argv[2]))
time.sleep(600)
"""


def life(place: Place, script: str) -> list[str]:
    return [sys.executable, "-c", LIFE, str(place.base), script]
