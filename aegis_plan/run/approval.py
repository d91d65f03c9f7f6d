"""Asking a person before a step. The question runs in a thread of its own, so that a slow answer never holds up leases
or other steps.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from aegis_plan.errors import AegisError
from aegis_plan.plan.step import Step


@dataclass(frozen=True)
class Approval:
    """A person's answer."""

    given: bool
    by: str
    how: str
    """`terminal`, `option`, `command`."""


class Approver(Protocol):
    """Whoever can be asked here and now."""

    def __call__(self, step: Step) -> Approval | None:
        """The answer to `step.approve`; None when nobody is here to ask, and the run then waits for
        `aegis approve`. May block."""


def nobody(step: Step) -> Approval | None:
    """The approver of a run without a terminal."""
    return None


class Desk:
    """Questions that are being asked: one at a time, since there is one terminal."""

    def __init__(self, approver: Approver) -> None:
        self._approver = approver
        self._guard = threading.Lock()
        self._asking: str = ""
        self._answers: dict[str, Approval | AegisError] = {}
        self._asked: set[str] = set()

    def ask(self, step: Step) -> bool:
        """Puts the question, unless it was put already or another one is on the desk; says whether it was put."""
        with self._guard:
            if self._asking or step.id in self._asked:
                return False
            self._asking = step.id
            self._asked.add(step.id)
        threading.Thread(target=self._run, args=(step,), name="approval", daemon=True).start()
        return True

    def answer(self, step: str) -> Approval | None:
        """What was answered since the last call, if anything. Raises what the approver raised."""
        with self._guard:
            found = self._answers.pop(step, None)
        if isinstance(found, AegisError):
            raise found
        return found

    def _run(self, step: Step) -> None:
        found: Approval | AegisError | None
        try:
            found = self._approver(step)
        except AegisError as error:
            found = error
        with self._guard:
            self._asking = ""
            if found is not None:
                self._answers[step.id] = found
