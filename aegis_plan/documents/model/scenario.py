"""Scenarios: disasters that are planned for, what they take away, how one comes back, and steps of one's own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aegis_plan.documents.model.section import Objectives, Section
from aegis_plan.documents.scalars import Duration, Name


class Affects(Section):
    sites: tuple[Name, ...] = ()
    stores: tuple[Name, ...] = ()
    services: tuple[Name, ...] = ()


class OwnStep(Section):
    """A step of one's own, hung on a phase of a scenario."""

    run: tuple[str, ...] | None = None
    manual: str | None = None
    """What a person has to do."""
    by: Name | None = None
    """Role of the team that does it, for a manual step."""
    site: Name | None = None
    tier: int = 0
    needs: tuple[Name, ...] = ()
    undo: tuple[str, ...] | None = None
    probe: tuple[str, ...] | None = None
    """A command that ends with 0 when the effect is there and 1 when it is not."""
    approve: str | None = None
    """Role of the team that is asked right before it."""
    timeout: Duration = Field(default="1h", validate_default=True)
    estimate: Duration | None = None
    """How long it is expected to take, until that was measured."""
    on_error: Literal["stop", "continue"] = "stop"
    run_as: str | None = None


class Steps(Section):
    declare: dict[Name, OwnStep] = Field(default_factory=dict)
    isolate: dict[Name, OwnStep] = Field(default_factory=dict)
    data: dict[Name, OwnStep] = Field(default_factory=dict)
    services: dict[Name, OwnStep] = Field(default_factory=dict)
    verify: dict[Name, OwnStep] = Field(default_factory=dict)
    traffic: dict[Name, OwnStep] = Field(default_factory=dict)
    notify: dict[Name, OwnStep] = Field(default_factory=dict)


class Scenario(Section):
    description: str = ""
    disruption: Literal["host", "zone", "site", "store", "logical", "ransomware"]
    severity: Literal["critical", "high", "medium", "low"] = "critical"
    affects: Affects = Affects()
    strategy: Literal["restore", "failover", "partial", "auto"] = "restore"
    expect: Objectives = Objectives()
    """What this scenario may take and lose; more than the objectives is a breach of them."""
    best: Objectives = Objectives()
    """What it takes and loses when all goes well."""
    decide: Duration | None = None
    """From the disaster to the decision for this scenario: being noticed, calling people out, assessing."""
    dwell: Duration | None = None
    """How long an infection or a wrong change may go unseen; backups have to reach back further."""
    restore_to: dict[Name, Name] = Field(default_factory=dict)
    """Store to the member that takes the restored data; default the preferred one, or one that is left."""
    commander: Name | None = None
    """Role of the team that leads it."""
    steps: Steps = Steps()
