"""What would become of a run if one of its steps failed: the executor's own rules, played in memory with the expected
lengths. It carries nothing out and touches no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Any, Literal

from aegis_plan.dispatch.contract import Attempt, Mark, Outcome, Progress
from aegis_plan.documents.nearest import meant
from aegis_plan.errors import AegisError, UsageError
from aegis_plan.journal.entry import Entry
from aegis_plan.journal.file import Draft
from aegis_plan.journal.replay import RunState
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.schedule import expected_length, schedule
from aegis_plan.plan.serving import serving_of, subjects
from aegis_plan.plan.step import Step
from aegis_plan.run.result import conclude
from aegis_plan.run.work import Work

Becomes = Literal["failed", "passed", "asked", "held"]
"""`failed` for good; `passed`: failed, and the run goes on without it; `asked`: a person has to say what happened;
`held`: nothing leads back, so that it waits for a resume."""

Old = Literal["untouched", "back", "gone"]
"""What is with the old data of a store that is not brought back: it is `untouched`, it was replaced or its server
stopped and it is `back`, or it stays replaced or stopped: `gone`."""

_HAIR = 1e-6


@dataclass(frozen=True)
class Back:
    """When a tier or service is back, as planned and then."""

    about: str
    subject: str
    tier: int
    planned: float | None
    """Seconds; None is unknown."""
    then: float | None
    """Seconds; None is unknown, or never in this run."""
    down: bool
    """Whether it does not come back in this run."""


@dataclass(frozen=True)
class Failure:
    """What becomes of the run."""

    step: str
    becomes: Becomes
    attempts: int
    """How often it is tried."""
    cause: str
    verdict: str
    exit_code: int
    not_run: tuple[str, ...]
    """Steps that never begin, in the order of the plan."""
    undone: tuple[str, ...]
    """Steps that are taken back, in that order."""
    stays: tuple[str, ...]
    """Steps of the same subject that were done and stay so."""
    stores_down: tuple[str, ...]
    """Stores that this run does not bring back."""
    old: dict[str, Old]
    """What is with the old data of each of them."""
    back: tuple[Back, ...]
    states: dict[str, str] = field(default_factory=dict)
    """How every step ends."""

    @property
    def down(self) -> tuple[Back, ...]:
        """Tiers and services that do not come back in this run."""
        return tuple(one for one in self.back if one.down)

    def as_data(self) -> dict[str, Any]:
        """As JSON carries it."""
        return asdict(self)


def what_if_fails(plan: Plan, name: str) -> Failure:
    """What becomes of a run of this plan when every attempt of one step fails and nothing else does. Approvals count as
    given; a step that takes something away for good counts as having begun with that.

    Raises UsageError `step-unknown`."""
    known = {step.id: step for step in plan.steps}
    if name not in known:
        raise unknown_step(name, known)
    # The rules look at no parameters, and what these refer to exists only in a real run.
    bare: dict[str, Any] = {"params": {}, "declared": (), "builds_on": ()}
    played = plan.model_copy(update={"steps": tuple(step.model_copy(update=bare) for step in plan.steps)})
    state = _play(played, known[name])
    result = conclude(played, state, plan.made_at)
    mine = state.step(name)
    undone = tuple(step for order in state.rollbacks.values() for step in order if state.step(step).state == "undone")
    subject = known[name].subject
    stores_down = tuple(store for store, step in serving_of(plan).stores.items() if state.step(step).state != "done")
    becomes: Becomes = "failed"
    if mine.state == "asked":
        becomes = "asked"
    elif not mine.settled:
        becomes = "held"
    elif known[name].on_error == "continue":
        becomes = "passed"
    return Failure(
        step=name,
        becomes=becomes,
        attempts=mine.numbers.get("act", 0),
        cause=mine.cause,
        verdict=result.verdict,
        exit_code=result.exit_code,
        not_run=tuple(step.id for step in plan.steps if not state.step(step.id).numbers),
        undone=undone,
        stays=tuple(
            step.id
            for step in plan.steps
            if subject and step.subject == subject and state.step(step.id).state == "done"
        ),
        stores_down=stores_down,
        old={store: _old(plan, state, store) for store in stores_down},
        back=tuple(_back(plan, state)),
        states={step.id: _word(step, state) for step in plan.steps},
    )


def unknown_step(name: str, known: Iterable[str]) -> UsageError:
    """The refusal of a name that is no step of the plan."""
    return UsageError(
        "step-unknown",
        "there is no such step",
        f"there is no step '{name}'",
        meant(name, known, "'aegis show FILE --json' lists the ids of all steps"),
    )


def _word(step: Step, state: RunState) -> str:
    mine = state.step(step.id)
    if not mine.settled and mine.state == "waiting":
        return "held" if mine.numbers else "waiting"
    return mine.state


def _back(plan: Plan, state: RunState) -> Iterable[Back]:
    planned = {(one.subject, one.objective): one.expected for one in plan.forecasts}
    times = schedule(plan).steps
    passed = {step.id for step in plan.steps if step.on_error == "continue" and step.phase != "traffic"}
    scenario = plan.documents.scenarios.get(plan.intent.scenario)
    for one in subjects(plan.documents, plan.steps, serving_of(plan), scenario):
        before = planned.get((one.name, "rto"))
        over = [step for step in one.after if _over(state, step, step in passed)]
        ends = [ended for step in over if (ended := state.step(step).ended)]
        down = len(ends) < len(one.after)
        then = before
        if down:
            then = None
        elif before is not None and ends:
            # Whatever else the forecast counts in, such as the time of deciding, stays as it is.
            last = (max(ends) - plan.made_at).total_seconds()
            then = before + last - max(times[step].end for step in one.after)
        yield Back(one.about, one.name, one.tier, before, then, down)


def _old(plan: Plan, state: RunState, store: str) -> Old:
    """By the steps that stop or replace what serves: none began, all were taken back, or not."""
    steps = [state.step(step.id) for step in plan.steps if step.subject == store and step.destructive]
    begun = [mine for mine in steps if mine.numbers]
    if not begun:
        return "untouched"
    return "back" if all(mine.state == "undone" for mine in begun) else "gone"


def _over(state: RunState, step: str, passed: bool) -> bool:
    """Whether people need not wait for a step any more; a check that is `passed` over when it fails keeps nobody."""
    return state.step(step).state in (("done", "failed") if passed else ("done",))


def _play(plan: Plan, failing: Step) -> RunState:
    clock = _Clock(plan.made_at)
    state = RunState(run="what-if")
    stage = _Stage(plan, failing, clock)
    work = Work(
        plan, state, _Memory(clock), stage, clock, lambda _: None, lambda _: 0, lambda _: True, plan.parallelism
    )
    while True:
        work.collect()
        work.roll_back()
        work.begin()
        work.hand_over(inf, True)
        if work.idle:
            return state
        due = work.next_due()
        moments = [stage.ends[flight.attempt.key] for flight in work.flights.values()]
        # What is due and was not sent waits for room: only the end of something makes that.
        if due is not None and (due > 0 or not moments):
            moments.append(clock.time + due + _HAIR)
        if not moments:
            return state
        clock.time = max(clock.time, min(moments))


class _Clock:
    """Time that goes on only when nothing else happens at a moment."""

    def __init__(self, begin: datetime) -> None:
        self._begin, self.time = begin, 0.0

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self.time)

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class _Memory:
    """A journal that nobody will read."""

    mirror_trouble: AegisError | None = None

    def __init__(self, clock: _Clock) -> None:
        self._clock, self._count = clock, 0

    def append(self, drafts: Sequence[Draft]) -> list[Entry]:
        now, made = self._clock.now(), []
        for draft in drafts:
            self._count += 1
            made.append(
                Entry.model_construct(
                    number=self._count, at=now, kind=draft.kind, step=draft.step, data=draft.data, previous=""
                )
            )
        return made

    def mirrored(self, number: int, timeout: float) -> bool:
        return True


class _Stage:
    """Sites on which everything takes as long as expected and succeeds, but for one step."""

    def __init__(self, plan: Plan, failing: Step, clock: _Clock) -> None:
        self._lengths = {step.id: expected_length(step)[0] for step in plan.steps}
        self._failing, self._clock = failing, clock
        self._attempts: dict[str, Attempt] = {}
        self.ends: dict[str, float] = {}

    def ledger(self, site: str) -> str:
        return "what-if"

    def submit(self, attempt: Attempt) -> None:
        self._attempts[attempt.key] = attempt
        length = self._lengths[attempt.step] if attempt.verb == "act" else 0.0
        self.ends[attempt.key] = self._clock.time + length

    def poll(self, key: str) -> Progress | Outcome:
        attempt = self._attempts[key]
        if self._clock.time < self.ends[key]:
            return Progress.model_construct(key=key)
        if attempt.step != self._failing.id or attempt.verb != "act":
            answer = "needed" if attempt.verb == "probe" else None
            return Outcome(key=key, verdict="done", answer=answer)
        marks: tuple[Mark, ...] = ()
        if self._failing.destructive and not self._failing.reversible:
            marks = (Mark(name="begun", at=self._clock.now()),)
        return Outcome(key=key, verdict="failed", marks=marks)

    def attach(self, attempt: Attempt) -> None:
        self.submit(attempt)

    def wait(self, keys: Iterable[str], seconds: float) -> None:
        self._clock.sleep(seconds)

    def cancel(self, key: str, reason: str) -> None:
        """Nothing here is stopped."""

    def close(self) -> None:
        """Nothing was begun."""
