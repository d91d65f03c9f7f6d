"""A look at the world: what answers, what does not, and what that means."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aegis_plan.clock import SystemClock
from aegis_plan.dispatch.contract import Attempt, Outcome, Progress, Trouble
from aegis_plan.errors import AegisError
from aegis_plan.observe.look import observe
from aegis_plan.repositories.local import LocalRepository
from tests.plan.world import LINEAGE, documents
from tests.repositories.catalogs import Made, Writer


class Answers:
    """Carries looks to nowhere: what a site says is given, and one that is not given never answers."""

    def __init__(self, **given: Outcome | dict[str, object]) -> None:
        self.given = given
        self.sent: dict[str, Attempt] = {}
        self.cancelled: list[str] = []

    def submit(self, attempt: Attempt) -> None:
        assert attempt.verb == "look"
        assert attempt.epoch == 0
        self.sent[attempt.key] = attempt

    def poll(self, key: str) -> Progress | Outcome:
        said = self.given.get(self.sent[key].step.split(".")[1])
        if said is None:
            return Progress(key=key)
        if isinstance(said, Outcome):
            return said
        return Outcome(key=key, verdict="done", outputs=said)

    def wait(self, keys: Iterable[str], seconds: float) -> None:
        SystemClock().sleep(0.01)

    def cancel(self, key: str, reason: str) -> None:
        self.cancelled.append(key)

    def attach(self, attempt: Attempt) -> None:
        raise AssertionError("a look is never attached")

    def ledger(self, site: str) -> str:
        raise AssertionError("a look needs no ledger")

    def close(self) -> None:
        pass


PRIMARY: dict[str, object] = {"state": "primary", "lineage": LINEAGE, "details": {"timeline": 3, "free_bytes": 10}}


def look(answers: Answers, folder: Path, **more: object):  # type: ignore[no-untyped-def]  # a snapshot, for short
    repositories = {"here": LocalRepository("here", folder / "here"), "there": AegisError("x-y", "not there", "gone")}
    return observe(documents(), answers, repositories, SystemClock(), signers={}, limit=0.2, **more)  # type: ignore[arg-type]


def test_what_was_seen_becomes_facts(tmp_path: Path) -> None:
    seen = look(Answers(site={"host": "h1", "daemon": None}, store=PRIMARY, service={"verdict": "pass"}), tmp_path)
    assert seen.facts["policy-db/primary"] == "seoul-1"
    assert seen.facts["policy-db/lineage"] == LINEAGE
    assert seen.facts["policy-db/seoul-1/timeline"] == 3
    assert seen.facts["policy-db/newest-set"] is None
    assert seen.sites["seoul"].host == "h1"
    assert seen.services["auth"].verdict == "pass"


def test_who_does_not_answer_is_unknown_and_not_down(tmp_path: Path) -> None:
    answers = Answers(site={"host": "h1"})
    seen = look(answers, tmp_path)
    member = seen.stores["policy-db"].members[0]
    assert member.state == "unknown"
    assert "no answer" in member.reason
    assert seen.services["auth"].verdict == "could_not_verify"
    assert seen.facts["policy-db/primary"] is None
    assert len(answers.cancelled) == 2


def test_a_site_that_cannot_be_reached_says_why(tmp_path: Path) -> None:
    away = Outcome(key="k", verdict="not_started", trouble=Trouble(code="site-unreachable", summary="no", detail="why"))
    seen = look(Answers(site=away, store=away, service=away), tmp_path)
    assert not seen.sites["busan"].reachable
    assert seen.sites["busan"].reason == "no: why"
    assert seen.stores["policy-db"].members[0].state == "unknown"


def test_a_site_that_is_down_is_not_asked(tmp_path: Path) -> None:
    answers = Answers(site={"host": "h1"}, store=PRIMARY, service={"verdict": "pass"})
    seen = look(answers, tmp_path, sites_down=("seoul",))
    assert {attempt.site for attempt in answers.sent.values()} == {"busan"}
    assert seen.stores["policy-db"].members[0].state == "unreachable"
    assert [holding.reachable for holding in seen.stores["policy-db"].shelf.holdings] == [False, False]


def test_an_answer_that_makes_no_sense_is_unknown(tmp_path: Path) -> None:
    seen = look(Answers(site={}, store={"state": "purple", "details": []}, service={"verdict": 5}), tmp_path)
    assert seen.stores["policy-db"].members[0].state == "unknown"
    assert seen.services["auth"].verdict == "could_not_verify"


def test_a_repository_that_is_not_there_is_told_with_its_reason(tmp_path: Path) -> None:
    seen = look(Answers(site={}, store=PRIMARY, service={"verdict": "pass"}), tmp_path)
    there = next(one for one in seen.stores["policy-db"].shelf.holdings if one.repository == "there")
    assert not there.reachable
    assert "gone" in there.reason


class Confirming(Answers):
    """A server whose slot is confirmed up to a range that was archived right before it was looked at."""

    def __init__(self, made: Made, place: LocalRepository) -> None:
        super().__init__(site={}, store=PRIMARY, service={"verdict": "pass"})
        self.made, self.place = made, place

    def poll(self, key: str) -> Progress | Outcome:
        if self.sent[key].step.startswith("look.store."):
            self.made.put(self.place)
        return super().poll(key)


def test_the_archive_is_never_read_before_the_server_that_feeds_it(tmp_path: Path) -> None:
    writer, place = Writer(system="aegis", store="policy-db", lineage=LINEAGE), LocalRepository("here", tmp_path / "h")
    writer.full().put(place)
    made = writer.range()
    answers = Confirming(made, place)
    repositories = {"here": place, "there": AegisError("x-y", "not there", "gone")}
    seen = observe(documents(), answers, repositories, SystemClock(), signers=writer.signers, limit=5.0)
    assert made.id in seen.stores["policy-db"].shelf.holdings[0].held


def test_looking_writes_nothing(tmp_path: Path) -> None:
    look(Answers(site={}, store=PRIMARY, service={"verdict": "pass"}), tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_only_the_stores_that_are_asked_for_are_looked_at(tmp_path: Path) -> None:
    assert look(Answers(site={}, store=PRIMARY, service={"verdict": "pass"}), tmp_path, stores=()).stores == {}
