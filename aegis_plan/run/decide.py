"""The one table that turns the outcome of an attempt into what happens next. Pure; nothing else decides.

Nobody knows what an `unknown` attempt did, so it is probed and, where the probe cannot say, put to a person; it is
never sent again blindly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aegis_plan.dispatch.contract import Verb, Verdict

Answer = Literal["satisfied", "needed", "unknown"]
Kind = Literal["done", "satisfied", "undone", "retry", "probe", "act", "undo", "hold", "ask", "fail"]

MISSES = 4
"""How often an attempt that surely never began is sent again."""
DOUBTS = 3
"""How often a probe may give no answer before a person is asked."""
LONGEST_DELAY = 300.0


@dataclass(frozen=True)
class Situation:
    """All that a decision depends on. Counts include the outcome at hand."""

    verb: Verb
    verdict: Verdict
    answer: Answer | None = None
    undoing: bool = False
    """Whether the step is being taken back; a probe then asks for that."""
    repeatable: bool = True
    retries: int = 0
    retry_delay: float = 5.0
    failures: int = 0
    misses: int = 0
    doubts: int = 0
    stopping: bool = False
    orphaned: bool = False
    """Whether it was sent by an earlier life of the executor, whose end stopped it."""
    bound: bool = False
    """Whether only forward leads out: something before it was removed for good."""


@dataclass(frozen=True)
class Decision:
    """What happens next. `follow` is the verb to send, for the kinds that send or hold one."""

    kind: Kind
    why: str
    follow: Verb | None = None
    delay: float = 0.0

    @property
    def settles(self) -> bool:
        """Whether the step is over with this."""
        return self.kind in ("done", "satisfied", "undone", "fail")


def decide(case: Situation) -> Decision:
    """What follows from one outcome."""
    if case.verb == "probe":
        return _probed(case)
    if case.verdict == "done":
        return Decision("undone", "it was taken back") if case.verb == "undo" else Decision("done", "it succeeded")
    if case.verdict == "unknown":
        return _follow(case, "probe", "nobody knows whether it took effect")
    if case.verdict == "not_started":
        if case.stopping:
            return Decision("hold", "it never began, and the run is stopping", case.verb)
        if case.misses <= MISSES:
            return Decision("retry", "it surely never began", case.verb, _pause(case.retry_delay, case.misses))
        return _given_up(case, "it could not be begun")
    if case.verdict == "cancelled":
        if case.stopping:
            return Decision("hold", "it was asked to stop and did", case.verb if _again(case) else "probe")
        if case.orphaned:
            return _resend(case, "it was stopped with the executor before this one")
        return _given_up(case, "it was stopped before its end")
    return _failed(case)


def _failed(case: Situation) -> Decision:
    if case.failures > case.retries:
        return _given_up(case, "it failed")
    if not _again(case):
        return Decision("ask", "it failed, and doing it twice may do harm")
    if case.stopping:
        return Decision("hold", "it failed, and the run is stopping", case.verb)
    return Decision("retry", "it failed and may be tried again", case.verb, _pause(case.retry_delay, case.failures))


def _probed(case: Situation) -> Decision:
    target: Verb = "undo" if case.undoing else "act"
    if case.verdict != "done" or case.answer is None:
        if case.doubts >= DOUBTS and not case.stopping:
            return Decision("ask", "nobody knows whether it took effect, and the probe gives no answer")
        pause = _pause(case.retry_delay, max(1, case.doubts))
        return _follow(case, "probe", "the probe gave no answer", pause)
    if case.answer == "unknown":
        return Decision("ask", "nobody knows whether it took effect, and the probe cannot tell")
    if case.undoing:
        if case.answer == "needed":
            return Decision("undone", "its effect is not there")
        return _follow(case, "undo", "its effect is still there")
    if case.answer == "satisfied":
        return Decision("satisfied", "its effect is there")
    return _resend(case, "its effect is not there", target)


def _resend(case: Situation, why: str, verb: Verb | None = None) -> Decision:
    """Acting anew is right for what may be repeated; for the rest a probe or a person says so first."""
    wanted = verb or case.verb
    if case.repeatable or wanted == "undo":
        return _follow(case, wanted, why)
    if case.verb == "probe":
        return Decision("ask", f"{why}, and doing it twice may do harm")
    return _follow(case, "probe", why)


def _follow(case: Situation, verb: Verb, why: str, delay: float = 0.0) -> Decision:
    if case.stopping:
        return Decision("hold", f"{why}, and the run is stopping", verb)
    if verb == "probe":
        return Decision("probe", why, verb, delay)
    return Decision("undo" if verb == "undo" else "act", why, verb, delay)


def _given_up(case: Situation, why: str) -> Decision:
    if case.verb == "undo":
        # What could not be taken back is a state that only a person can judge.
        return Decision("ask", f"{why}, so it could not be taken back")
    if case.bound:
        # To fail would end the run, and nothing but this run can bring the subject back.
        if not case.repeatable:
            return Decision("ask", f"{why}, and doing it twice may do harm")
        return Decision("hold", f"{why}, and what was before it cannot be put back", case.verb)
    return Decision("fail", why)


def _again(case: Situation) -> bool:
    return case.repeatable or case.verb == "undo"


def _pause(first: float, count: int) -> float:
    return min(LONGEST_DELAY, first * 2.0 ** min(max(0, count - 1), 20))
