"""How a run ended: its verdict, what each step took, and the time and data that were really lost. Computed from the
plan and the journal's fold alone. Pure.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from aegis_plan.errors import EXIT_BREACH, EXIT_FAILED, EXIT_OK, EXIT_PARTIAL, EXIT_UNKNOWN
from aegis_plan.journal.replay import RunState, StepState
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.step import Step
from aegis_plan.plan.unsigned import UNPROTECTED

Verdict = Literal["done", "degraded", "failed", "unknown", "stopped", "refused"]
RESTORED = ("health", "accept", "start-server", "replay")
"""Kinds of steps that show people are served again, the best proof first."""
OWN_LOG = "the old server's own log"
"""The proof that a dead server's log, which its own data directory still held, was restored."""


@dataclass(frozen=True)
class StepResult:
    """One step as it ended, or stands."""

    id: str
    title: str
    state: str
    seconds: float | None
    attempts: int
    cause: str = ""
    findings: tuple[dict[str, Any], ...] = ()
    trouble: dict[str, Any] | None = None
    """The newest one."""
    failure: dict[str, Any] | None = None
    """The one with which it failed, where another came when it was taken back."""


@dataclass(frozen=True)
class Achieved:
    """What one subject achieved against one objective, in seconds; None could not be verified."""

    subject: str
    objective: Literal["rta", "rpa"]
    seconds: float | None
    basis: str
    target: float | None = None

    @property
    def verdict(self) -> Literal["pass", "fail", "could_not_verify", "not_configured"]:
        if self.target is None:
            return "not_configured"
        if self.seconds is None:
            return "could_not_verify"
        return "pass" if self.seconds <= self.target else "fail"


@dataclass(frozen=True)
class Result:
    """The whole."""

    run: str
    verdict: Verdict
    exit_code: int
    steps: tuple[StepResult, ...]
    achieved: tuple[Achieved, ...]
    begun: datetime | None
    ended: datetime | None
    t0: datetime | None
    t0_basis: str
    """`failed at`, as the plan was told, or `begin of the run`."""
    reason: str = ""
    """Why it stopped, where it did."""
    questions: dict[str, str] = field(default_factory=dict)
    """Steps that wait for a person."""
    already: bool = False
    """Whether the run was over before: nothing was done now."""

    def as_data(self) -> dict[str, Any]:
        """As JSON carries it."""
        data = asdict(self)
        data["achieved"] = [{**asdict(one), "verdict": one.verdict} for one in self.achieved]
        for name in ("begun", "ended", "t0"):
            moment = getattr(self, name)
            data[name] = None if moment is None else moment.isoformat()
        return data


def conclude(plan: Plan, state: RunState, now: datetime, already: bool = False) -> Result:
    """The result of a run as it stands."""
    steps = [(step, state.step(step.id)) for step in plan.steps]
    open_ends = _unprotected(plan)
    t0, basis = state.begun, "begin of the run"
    if plan.intent.failed_at:
        t0, basis = _moment(plan.intent.failed_at) or t0, "failed at"
    achieved = tuple(_achieved(plan, steps, t0, basis)) if plan.intent.kind in ("recover", "restore") else ()
    verdict, code = _verdict(steps, state, achieved)
    if verdict == "done" and open_ends:
        verdict = "degraded"
    reason = state.stopping or _held(steps)
    if state.ended is not None and state.ended.get("verdict") == "refused":
        # It could not begin: nothing was sent, and nothing of it can be gone on with.
        verdict, code, reason = "refused", EXIT_FAILED, str(state.ended.get("code", ""))
    return Result(
        run=state.run,
        verdict=verdict,
        exit_code=code,
        steps=tuple(_step(step, mine, open_ends.get(step.id, ())) for step, mine in steps),
        achieved=achieved,
        begun=state.begun,
        ended=_moment(state.ended["at"]) if state.ended and "at" in state.ended else now,
        t0=t0,
        t0_basis=basis,
        reason=reason,
        questions={step.id: mine.cause for step, mine in steps if mine.state == "asked"},
        already=already,
    )


def finished(plan: Plan, state: RunState) -> bool:
    """Whether nothing is left to do, ask or take back."""
    if any(not state.step(step.id).settled for step in plan.steps):
        return False
    return all(
        state.step(name).state in ("undone", "undo-failed", "skipped")
        for order in state.rollbacks.values()
        for name in order
    )


def _verdict(
    steps: list[tuple[Step, StepState]], state: RunState, achieved: tuple[Achieved, ...]
) -> tuple[Verdict, int]:
    if any(
        mine.state == "undo-failed"
        or (mine.failed_once and step.on_error == "stop" and mine.state != "done" and not mine.passed_over)
        for step, mine in steps
    ):
        return "failed", EXIT_FAILED
    if any(mine.state == "asked" for _, mine in steps):
        return "unknown", EXIT_UNKNOWN
    if any(not mine.settled for _, mine in steps):
        return "stopped", EXIT_PARTIAL
    findings = [finding for _, mine in steps for finding in mine.findings if finding.get("severity") != "note"]
    degraded = bool(findings) or any(mine.state in ("failed", "skipped") for _, mine in steps)
    breach = any(one.verdict == "fail" for one in achieved) or any(
        finding.get("severity") == "breach" for finding in findings
    )
    return ("degraded" if degraded else "done"), (EXIT_BREACH if breach else EXIT_OK)


def _held(steps: list[tuple[Step, StepState]]) -> str:
    """Why a run stands that nobody stopped: a step failed behind which no way leads back."""
    return "; ".join(f"{step.id}: {mine.cause}" for step, mine in steps if _waits(mine))


def _waits(mine: StepState) -> bool:
    return mine.state == "waiting" and bool(mine.following and mine.cause)


def _unprotected(plan: Plan) -> dict[str, tuple[dict[str, Any], ...]]:
    """What the plan knew it would leave undone, by the step after which a store serves: it is part of the outcome."""
    return {
        plan.serves[finding.subject]: (finding.model_dump(mode="json"),)
        for finding in plan.findings
        if finding.code == UNPROTECTED and finding.subject in plan.serves
    }


def _step(step: Step, mine: StepState, known: tuple[dict[str, Any], ...] = ()) -> StepResult:
    took = (mine.ended - mine.began).total_seconds() if mine.ended and mine.began else None
    return StepResult(
        id=step.id,
        title=step.title,
        state=mine.state,
        seconds=took,
        attempts=sum(mine.numbers.values()),
        cause=mine.cause,
        findings=(*mine.findings, *(known if mine.state == "done" else ())),
        trouble=mine.trouble,
        failure=mine.failure if mine.failure != mine.trouble else None,
    )


def _achieved(plan: Plan, steps: list[tuple[Step, StepState]], t0: datetime | None, basis: str) -> list[Achieved]:
    targets = {(one.subject, one.objective): one.target for one in plan.forecasts}
    of_tier = {one.subject.split(" (")[0]: one.target for one in plan.forecasts if one.objective == "rto"}
    of_subject: dict[str, list[tuple[Step, StepState]]] = {}
    for step, state in steps:
        of_subject.setdefault(step.subject, []).append((step, state))
        # An RTO is asked of a tier as a whole; everything in it is held against that.
        if f"tier {step.tier}" in of_tier:
            targets.setdefault((step.subject, "rto"), of_tier[f"tier {step.tier}"])
    subjects = list(dict.fromkeys(step.subject for step, _ in steps if step.subject and step.action in RESTORED))
    found = []
    for subject in subjects:
        mine = of_subject[subject]
        end, proof = _restored(mine)
        seconds = None if end is None or t0 is None else max(0.0, (end - t0).total_seconds())
        found.append(
            Achieved(
                subject, "rta", seconds, f"from {basis} to {proof}" if end else proof, targets.get((subject, "rto"))
            )
        )
        if any(step.action in ("replay", "accept") for step, _ in mine):
            moment, proof = _newest(mine)
            lost = None if moment is None or t0 is None else max(0.0, (t0 - moment).total_seconds())
            how = f"from {proof} to {basis}" if moment else proof
            if lost == 0 and proof == OWN_LOG:
                # Only this tells it: another moment may come from a clock that runs ahead of ours.
                how = f"nothing that was acknowledged was lost: {proof} was restored to its end"
            found.append(Achieved(subject, "rpa", lost, how, targets.get((subject, "rpo"))))
    return found


def _restored(steps: list[tuple[Step, StepState]]) -> tuple[datetime | None, str]:
    for kind in RESTORED:
        kinds = [(step, state) for step, state in steps if step.action == kind]
        if kinds:
            if any(state.state != "done" for _, state in kinds):
                return None, f"{kind} did not succeed"
            return max(state.ended for _, state in kinds if state.ended), f"the end of {kind}"
    return None, "nothing shows it"


def _newest(steps: list[tuple[Step, StepState]]) -> tuple[datetime | None, str]:
    """The newest moment that the restored data itself bears witness of."""
    found: list[tuple[datetime, str]] = []
    for step, state in steps:
        if step.action in ("replay", "accept") and state.state == "done":
            for name, words in (
                ("heartbeat", "the heartbeat restored"),
                ("last_commit", "the last commit restored"),
                ("covers_until", "the moment to which the restored data is complete"),
            ):
                moment = _moment(state.outputs.get(name))
                if moment is not None:
                    found.append((moment, words))
        if step.action == "archive-tail" and state.state == "done":
            moment = _moment(state.outputs.get("covers_until"))
            if moment is not None:
                found.append((moment, OWN_LOG))
    return max(found) if found else (None, "the restored data bears no time")


def _moment(text: Any) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
