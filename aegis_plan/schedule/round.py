"""One due run under way: what a scheduler starts for a store and an aspect, asks how it is, and may ask to stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aegis_plan.catalog.schedule_record import Verdict
from aegis_plan.schedule.job import Unit


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    verdict: Verdict
    run: str = ""
    why: str = ""


class Round(Protocol):
    """One that was started."""

    def ended(self) -> Ended | None:
        """How it ended, or None while it works."""

    def stop(self, at_once: bool = False) -> None:
        """Asks it to come to a safe stop, or ends it at once; a resume goes on from its journal."""


class Starter(Protocol):
    """Starts one. It looks again at what is due, by itself, and begins no second one for the same."""

    def __call__(self, unit: Unit) -> Round: ...


@dataclass(frozen=True)
class Over:
    """A round that was over when it was asked about, such as one that could not begin."""

    end: Ended

    def ended(self) -> Ended | None:
        return self.end

    def stop(self, at_once: bool = False) -> None:
        """There is nothing to stop."""
