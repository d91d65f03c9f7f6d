"""The base of everything in a document, and what several sections share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from aegis_plan.documents.scalars import Duration, Percentage


class Section(BaseModel):
    """Base of everything in a document: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Objectives(Section):
    """Targets: how long things may be down, and how much may be lost in time."""

    rto: Duration | None = None
    """Longest time until it serves again."""
    rpo: Duration | None = None
    """Most data, in time, that may be lost."""
    mttr: Duration | None = None
    """Mean time to recovery over all incidents and drills."""
    availability: Percentage | None = None
    """Share of a year in which it serves."""


class Command(Section):
    """A program with its arguments; no shell."""

    command: tuple[str, ...]
    """The program and its arguments."""
    timeout: Duration = Field(default="10m", validate_default=True)
    """How long it may take."""
    estimate: Duration | None = None
    """How long it is expected to take, until that was measured."""
    run_as: str | None = None
    """The user of the host as whom it runs."""


EXPERIMENTAL = {
    "channels": "failures of backups are told, and nothing else yet; what a step for a person says is shown where the "
    "plan is applied",
    "drills": "no drill is run on its schedule yet",
    "monitors": "nothing watches yet",
}
"""Sections that are checked in full and that nothing acts on yet, with what that means."""
