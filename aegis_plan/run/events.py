"""What a run tells while it goes on, for terminals and `--json`. Telling never changes what a run does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

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
