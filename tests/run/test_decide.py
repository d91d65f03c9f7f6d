"""The table of decisions, enumerated in full."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from aegis_plan.dispatch.contract import Verdict
from aegis_plan.run.decide import DOUBTS, LONGEST_DELAY, MISSES, Situation, decide

EVERY = [
    Situation(
        verb=verb,
        verdict=verdict,
        answer=answer if verb == "probe" else None,
        undoing=undoing or verb == "undo",
        repeatable=repeatable,
        retries=retries,
        failures=failures,
        misses=misses,
        doubts=doubts,
        stopping=stopping,
        orphaned=orphaned,
        bound=bound,
    )
    for (
        verb,
        verdict,
        answer,
        undoing,
        repeatable,
        retries,
        failures,
        misses,
        doubts,
        stopping,
        orphaned,
        bound,
    ) in product(
        ("act", "probe", "undo"),
        get_args(Verdict),
        (None, "satisfied", "needed", "unknown"),
        (False, True),
        (False, True),
        (0, 1, 2),
        (0, 1, 2, 3),
        (0, 1, MISSES + 1),
        (0, 1, DOUBTS),
        (False, True),
        (False, True),
        (False, True),
    )
    # Nothing is acted on while it is taken back.
    if not (undoing and verb == "act")
]


def test_every_situation_has_a_decision_that_keeps_the_rules() -> None:
    assert len(EVERY) > 10_000
    for case in EVERY:
        found = decide(case)
        sends = found.kind in ("retry", "probe", "act", "undo")
        assert found.why
        assert (found.follow is not None) == (sends or found.kind == "hold"), case
        assert 0 <= found.delay <= LONGEST_DELAY
        if case.stopping:
            assert not sends, case
        if case.verdict == "unknown" and case.verb != "probe":
            # Never sent again blindly: a probe comes first, now or in the next life.
            assert found.follow == "probe", case
        if found.kind in ("done", "satisfied"):
            assert not case.undoing, case
            assert case.verdict == "done", case
        if found.kind == "undone":
            assert case.undoing, case
            assert case.verdict == "done", case
        if found.kind == "fail":
            assert not case.undoing, case
            assert not case.bound, case
        if found.follow == "act":
            assert not case.undoing, case
            if not case.repeatable:
                assert case.verdict == "not_started", case
        if found.follow == "undo":
            assert case.undoing, case
        if case.verb == "probe" and case.verdict == "done" and case.answer == "unknown":
            assert found.kind == "ask", case


@pytest.mark.parametrize(
    ("case", "kind", "follow", "delay"),
    [
        (Situation("act", "done"), "done", None, 0),
        (Situation("act", "failed", retries=2, failures=1), "retry", "act", 5.0),
        (Situation("act", "failed", retries=2, failures=2), "retry", "act", 10.0),
        (Situation("act", "failed", retries=2, failures=3), "fail", None, 0),
        (Situation("act", "failed", retries=1, failures=1, repeatable=False), "ask", None, 0),
        (Situation("act", "failed", retries=1, failures=1, stopping=True), "hold", "act", 0),
        (Situation("act", "not_started", misses=1, repeatable=False), "retry", "act", 5.0),
        (Situation("act", "not_started", misses=MISSES + 1), "fail", None, 0),
        (Situation("act", "cancelled", stopping=True), "hold", "act", 0),
        (Situation("act", "cancelled", stopping=True, repeatable=False), "hold", "probe", 0),
        (Situation("act", "cancelled", orphaned=True), "act", "act", 0),
        (Situation("act", "cancelled", orphaned=True, repeatable=False), "probe", "probe", 0),
        (Situation("act", "cancelled"), "fail", None, 0),
        (Situation("act", "failed", retries=2, failures=1, bound=True), "retry", "act", 5.0),
        (Situation("act", "failed", retries=1, failures=2, bound=True), "hold", "act", 0),
        (Situation("act", "failed", retries=1, failures=2, bound=True, repeatable=False), "ask", None, 0),
        (Situation("act", "not_started", misses=MISSES + 1, bound=True), "hold", "act", 0),
        (Situation("act", "unknown"), "probe", "probe", 0),
        (Situation("probe", "done", "satisfied"), "satisfied", None, 0),
        (Situation("probe", "done", "needed"), "act", "act", 0),
        (Situation("probe", "done", "needed", repeatable=False), "ask", None, 0),
        (Situation("probe", "done", "unknown"), "ask", None, 0),
        (Situation("probe", "not_started", doubts=1), "probe", "probe", 5.0),
        (Situation("probe", "unknown", doubts=DOUBTS), "ask", None, 0),
        (Situation("undo", "done", undoing=True), "undone", None, 0),
        (Situation("undo", "failed", undoing=True, retries=1, failures=1), "retry", "undo", 5.0),
        (Situation("undo", "failed", undoing=True, retries=1, failures=2), "ask", None, 0),
        (Situation("undo", "unknown", undoing=True), "probe", "probe", 0),
        (Situation("probe", "done", "needed", undoing=True), "undone", None, 0),
        (Situation("probe", "done", "satisfied", undoing=True), "undo", "undo", 0),
    ],
)
def test_the_table(case: Situation, kind: str, follow: str | None, delay: float) -> None:
    found = decide(case)
    assert (found.kind, found.follow, found.delay) == (kind, follow, delay)
