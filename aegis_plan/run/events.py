"""What a run tells while it goes on, for terminals and `--json`. Telling never changes what a run does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from aegis_plan.journal.file import Draft
from aegis_plan.journal.replay import StepState

EventKind = Literal[
    "run-begun",
    "run-resumed",
    "lease-waiting",  # another run has what this one needs
    "lease-taken",
    "lease-lost",
    "step-begun",  # an attempt was sent: verb, number
    "progress",  # phase, done, total, unit, elapsed
    "retry",  # an attempt will be sent again: why, delay
    "step-settled",  # state, seconds, cause, findings
    "approval-wanted",
    "approved",
    "asked",  # a person has to decide
    "held",  # it failed, and only a resume leads on: why, trouble
    "rolling-back",
    "stopping",
    "command-refused",
    "mirror-late",
    "run-ended",
]


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    kind: EventKind
    at: datetime
    step: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Tell = Callable[[Event], None]


def telling(draft: Draft, mine: StepState) -> tuple[EventKind, dict[str, Any]] | None:
    """What is told of an entry that the step's state has taken in; None when it is nothing to a reader."""
    if draft.kind == "settled":
        took = (mine.ended - mine.began).total_seconds() if mine.ended and mine.began else None
        return "step-settled", {
            "state": mine.state,
            "seconds": took,
            "cause": mine.cause,
            "trouble": mine.trouble,
            "findings": list(mine.findings),
        }
    if draft.kind == "asked":
        return "asked", {"question": mine.cause, "trouble": mine.trouble}
    if draft.kind == "decided" and draft.data.get("held"):
        return "held", {"why": draft.data["why"], "trouble": mine.trouble}
    if draft.kind == "decided" and draft.data.get("next") and draft.data["decision"] != "hold":
        return "retry", {name: draft.data[name] for name in ("why", "next", "delay")}
    return None
