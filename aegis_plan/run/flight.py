"""An attempt on its way to a site and back, and whether what comes back can be believed. It never carries anything."""

from __future__ import annotations

from dataclasses import dataclass

from aegis_plan.dispatch.contract import Attempt, Outcome, Progress, Trouble
from aegis_plan.journal.replay import StepState


@dataclass
class Flight:
    """An attempt that was journaled as sent."""

    attempt: Attempt
    orphaned: bool = False
    """Whether an earlier life of the run sent it."""
    entry: int = 0
    waits_since: float | None = None
    """Since when it waits for a mirror; None once it was submitted."""
    told: Progress | None = None
    cancelled: bool = False


def trusted(mine: StepState, outcome: Outcome) -> Outcome:
    """What another ledger than the one journaled says of a key is not known."""
    wanted = (mine.open or {}).get("ledger", "")
    if not outcome.ledger or not wanted or outcome.ledger == wanted or outcome.verdict == "unknown":
        return outcome
    trouble = Trouble(
        code="another-ledger",
        summary="the site's ledger is not the one that the attempt was sent to",
        detail="the site folder was replaced or restored since",
        hint="find out at the site whether the step took effect, then answer",
    )
    return outcome.model_copy(update={"verdict": "unknown", "answer": None, "trouble": trouble})
