"""What the entries of a journal amount to: the state of a run and of each of its steps. Pure; the executor itself keeps
no other state than this fold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from aegis_plan.journal.entry import Entry, damaged
from aegis_plan.repositories.collecting import uncollected

State = Literal["waiting", "running", "asked", "done", "failed", "skipped", "undone", "undo-failed"]
SETTLED: frozenset[str] = frozenset({"done", "failed", "skipped", "undone", "undo-failed"})


@dataclass
class StepState:
    """One step as the journal knows it."""

    state: State = "waiting"
    numbers: dict[str, int] = field(default_factory=dict)
    """Highest attempt number sent, by verb."""
    open: dict[str, Any] | None = None
    """Data of a `sent` that has no outcome yet."""
    undecided: bool = False
    """An outcome is known that nobody has decided about."""
    following: str = ""
    """The verb that was decided and not sent yet."""
    delay: float = 0.0
    """Seconds to wait before it."""
    undoing: bool = False
    last: dict[str, Any] = field(default_factory=dict)
    """The newest outcome, with its `verb`."""
    failures: int = 0
    """Attempts of the present verb that failed."""
    misses: int = 0
    """Attempts that surely never began, in this life of the executor."""
    doubts: int = 0
    """Probes that gave no answer, one after the other."""
    outputs: dict[str, Any] = field(default_factory=dict)
    marks: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    trouble: dict[str, Any] | None = None
    """The newest one."""
    failure: dict[str, Any] | None = None
    """The one with which it failed."""
    cause: str = ""
    """Why it was skipped, failed or asked, in one sentence."""
    passed_over: bool = False
    """Skipped by a person: what needs it may begin."""
    failed_once: bool = False
    began: datetime | None = None
    ended: datetime | None = None

    @property
    def settled(self) -> bool:
        return self.state in SETTLED


@dataclass
class RunState:
    """A run as its journal knows it."""

    run: str = ""
    digest: str = ""
    who: str = ""
    host: str = ""
    begun: datetime | None = None
    lives: int = 0
    steps: dict[str, StepState] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    """Steps that failed once."""
    approvals: dict[str, dict[str, Any]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    """Leases by name with the epoch under which they are held."""
    past_epochs: dict[str, int] = field(default_factory=dict)
    """The highest epoch ever held, by lease."""
    rollbacks: dict[str, list[str]] = field(default_factory=dict)
    """Subject to the steps to undo, in that order."""
    commands: set[str] = field(default_factory=set)
    """Ids of the inbox commands that were obeyed."""
    stopping: str = ""
    """Why this life takes no new steps."""
    ended: dict[str, Any] | None = None
    count: int = 0

    def step(self, name: str) -> StepState:
        """The state of a step, which begins as waiting."""
        found = self.steps.get(name)
        if found is None:
            found = self.steps[name] = StepState()
        return found

    def apply(self, entry: Entry) -> None:
        """Takes the next entry in."""
        self.count = entry.number
        if "command" in entry.data:
            self.commands.add(entry.data["command"])
        _APPLY[entry.kind](self, entry)


def replay(entries: Iterable[Entry]) -> RunState:
    """The state that the entries amount to. Raises DamageError `journal-damaged`."""
    state = RunState()
    number = 0
    with uncollected():
        try:
            for entry in entries:
                number = entry.number
                state.apply(entry)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise damaged(number, "it does not say what an entry of its kind says") from None
    return state


def _begun(run: RunState, entry: Entry) -> None:
    run.run, run.digest = entry.data.get("run", ""), entry.data.get("plan", "")
    run.who, run.host = entry.data.get("who", ""), entry.data.get("host", "")
    run.begun, run.lives = entry.at, 1


def _resumed(run: RunState, entry: Entry) -> None:
    run.lives += 1
    run.stopping = ""
    run.epochs.clear()
    for step in run.steps.values():
        # What kept a site from answering may be mended: its patience begins anew.
        step.misses = step.doubts = 0
        step.delay = 0.0


def _approved(run: RunState, entry: Entry) -> None:
    run.approvals[entry.step] = entry.data


def _lease(run: RunState, entry: Entry) -> None:
    if entry.data.get("state") == "taken":
        name, epoch = entry.data["lease"], entry.data["epoch"]
        run.epochs[name] = epoch
        run.past_epochs[name] = max(epoch, run.past_epochs.get(name, 0))
    elif entry.data.get("state") in ("released", "lost"):
        run.epochs.pop(entry.data["lease"], None)


def _sent(run: RunState, entry: Entry) -> None:
    step = run.step(entry.step)
    verb = entry.data["verb"]
    step.numbers[verb] = entry.data["number"]
    step.open = entry.data
    step.state, step.following, step.delay, step.cause = "running", "", 0.0, ""
    if verb == "undo" and not step.undoing:
        step.undoing = True
        step.failures = step.misses = step.doubts = 0
    step.began = step.began or entry.at


def counted(step: StepState, verb: str, verdict: str) -> tuple[int, int, int]:
    """Failures, misses and doubts of a step once this outcome is counted."""
    if verb == "probe":
        return step.failures, step.misses, 0 if verdict == "done" else step.doubts + 1
    return step.failures + (verdict == "failed"), step.misses + (verdict == "not_started"), step.doubts


def _outcome(run: RunState, entry: Entry) -> None:
    step = run.step(entry.step)
    verb, outcome = entry.data["verb"], entry.data["outcome"]
    verdict = outcome["verdict"]
    step.open, step.undecided = None, True
    step.last = {"verb": verb, **outcome}
    answer = outcome.get("answer")
    step.failures, step.misses, step.doubts = counted(step, verb, verdict)
    if verb == "act" or (verb == "probe" and answer == "satisfied"):
        step.outputs.update(outcome.get("outputs") or {})
    for mark in outcome.get("marks") or ():
        if mark not in step.marks:
            step.marks.append(mark)
    for finding in outcome.get("findings") or ():
        if finding not in step.findings:
            step.findings.append(finding)
    if outcome.get("trouble"):
        step.trouble = outcome["trouble"]


def _decided(run: RunState, entry: Entry) -> None:
    data = entry.data
    if data["decision"] == "roll-back":
        run.rollbacks[data["subject"]] = list(data["undo"])
        return
    step = run.step(entry.step)
    # A decision that ends the step is carried out by the entry after it; a kill between the two leaves it to do.
    step.undecided = data["decision"] in ("satisfied", "undone", "fail")
    if data.get("next"):
        step.state, step.following, step.delay = "waiting", data["next"], float(data.get("delay", 0.0))
    if data.get("held"):
        step.cause = data["why"]
    if data.get("anew"):
        step.failures = step.misses = step.doubts = 0
        step.cause, step.trouble = "", None


def _settled(run: RunState, entry: Entry) -> None:
    step = run.step(entry.step)
    step.state = entry.data["state"]
    step.cause = entry.data.get("cause", "")
    step.passed_over = bool(entry.data.get("passed_over"))
    step.undecided, step.following, step.open = False, "", None
    step.ended = entry.at
    if step.state == "failed":
        step.failed_once = True
        run.failed.add(entry.step)
        step.trouble = step.failure = entry.data.get("trouble") or step.trouble
    elif step.state == "done":
        step.trouble = step.failure = None


def _asked(run: RunState, entry: Entry) -> None:
    step = run.step(entry.step)
    step.state, step.cause = "asked", entry.data.get("question", "")
    step.undecided, step.following = False, ""


def _answered(run: RunState, entry: Entry) -> None:
    if entry.step:
        run.step(entry.step).undecided = False


def _stopping(run: RunState, entry: Entry) -> None:
    run.stopping = run.stopping or entry.data.get("why", "stopped")


def _ended(run: RunState, entry: Entry) -> None:
    run.ended = entry.data


_APPLY = {
    "begun": _begun,
    "resumed": _resumed,
    "approved": _approved,
    "lease": _lease,
    "sent": _sent,
    "outcome": _outcome,
    "decided": _decided,
    "settled": _settled,
    "asked": _asked,
    "answered": _answered,
    "stopping": _stopping,
    "ended": _ended,
}
