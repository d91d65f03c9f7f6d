"""People and how they are reached, drills that prove the plan, monitors that notice. Experimental where
`section.EXPERIMENTAL` says so."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aegis_plan.documents.model.section import Section
from aegis_plan.documents.scalars import Duration, Flag, Name, Schedule


class Role(Section):
    """A role of the response team; steps name it as `approve` and `by`, services as `owner`."""

    title: str = ""
    """What people call it."""
    people: tuple[str, ...] = ()
    """Who holds it, the first to be called first."""
    channels: tuple[Name, ...] = ()
    """Where it is called out."""
    deputy: Name | None = None
    """The role that stands in."""


Event = Literal[
    "incident", "call-out", "run-begin", "run-end", "backup-failed", "drill-end", "risk-critical", "risk-high"
]


class Channel(Section):
    """Where notices go."""

    url: str
    """A secret reference to an address in the notation of Apprise, such as `${env:OPS_CHANNEL}`."""
    tells: tuple[Event, ...] = ()
    """What is told there, besides what a step says."""


class Drill(Section):
    """A rehearsal on a schedule, in isolation, with a report."""

    kind: Literal["failover", "restore", "full"]
    """What is rehearsed."""
    scenario: Name | None = None
    """The scenario that is rehearsed."""
    stores: tuple[Name, ...] = ()
    """Which stores; default those of the scenario, else all."""
    schedule: Schedule
    """Cron, five fields, in the system's time zone."""
    duration: Duration
    """How long it may take."""
    site: Name | None = None
    """Where its isolated environment is made."""
    place: str = ""
    """Absolute path of a folder for restored data, which goes away afterwards."""
    checks: tuple[str, ...] = ()
    """A command that proves the result, besides the checks of the engine."""
    owner: Name | None = None
    """Role of the team that answers for it."""


class Escalation(Section):
    """What happens when a risk is as high as this."""

    tell: tuple[Name, ...] = ()
    """Channels."""
    call_out: tuple[Name, ...] = ()
    """Roles of the team."""
    recover: Name | None = None
    """The scenario whose recovery begins by itself, where `automatic` says so."""
    automatic: Flag = False
    """Whether nobody is asked first."""


class Monitor(Section):
    """Something that is looked at all the time."""

    kind: Literal["infrastructure", "database", "application", "network"]
    """What is looked at, and how."""
    watches: tuple[Name, ...] = ()
    """Sites, stores and services; default all that the kind fits."""
    every: Duration = Field(default="30s", validate_default=True)
    """Pause between two looks."""
    after_error: Duration = Field(default="60s", validate_default=True)
    """Pause after an error of the monitor itself."""
    failures: int = Field(default=3, ge=1)
    """Looks in a row that have to fail before it is believed."""
    critical: Escalation = Escalation()
    """When the risk is critical."""
    high: Escalation = Escalation()
    """When the risk is high."""
