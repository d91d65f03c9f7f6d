"""Scenarios: disasters that are planned for, what they take away, how one comes back, and steps of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import Field

from aegis_plan.documents.model.section import Objectives, Section
from aegis_plan.documents.scalars import Duration, Name

Disruption = Literal["host", "zone", "site", "store", "logical", "ransomware"]


class Effect(NamedTuple):
    """What a kind of disruption does, wherever that is asked."""

    takes_sites: bool = False
    """What stands at the sites it names is gone: servers, services and copies."""
    distrusts_sites: bool = False
    """What stands there is left and can no longer be relied on."""
    spoils_replicas: bool = False
    """A replica follows it: what is wrong on the primary is wrong there too."""
    found_late: bool = False
    """It is noticed some time after it began."""


DISRUPTIONS: Mapping[Disruption, Effect] = {
    "host": Effect(takes_sites=True),
    "zone": Effect(takes_sites=True),
    "site": Effect(takes_sites=True),
    "store": Effect(),
    "logical": Effect(spoils_replicas=True, found_late=True),
    "ransomware": Effect(distrusts_sites=True, spoils_replicas=True, found_late=True),
}


class Affects(Section):
    sites: tuple[Name, ...] = ()
    """Sites; with `disruption: host`, `zone` or `site` everything there is lost."""
    stores: tuple[Name, ...] = ()
    """Stores whose data is lost or spoiled."""
    services: tuple[Name, ...] = ()
    """Services that are down."""


class OwnStep(Section):
    """A step of one's own, hung on a phase of a scenario."""

    run: tuple[str, ...] | None = None
    """A program with its arguments."""
    manual: str | None = None
    """What a person has to do."""
    by: Name | None = None
    """Role of the team that does it, for a manual step."""
    site: Name | None = None
    """Where it runs; default where the first store comes back."""
    tier: int = 0
    """Default: before all tiers for `declare` and `isolate`, else with the last one."""
    needs: tuple[Name, ...] = ()
    """Steps of this scenario, services or stores that come first."""
    undo: tuple[str, ...] | None = None
    """A command that takes it back."""
    probe: tuple[str, ...] | None = None
    """A command that ends with 0 when the effect is there and 1 when it is not."""
    approve: str | None = None
    """Role of the team that is asked right before it."""
    timeout: Duration = Field(default="1h", validate_default=True)
    """How long it may take."""
    estimate: Duration | None = None
    """How long it is expected to take, until that was measured."""
    on_error: Literal["stop", "continue"] = "stop"
    """Whether the run goes on when it fails."""
    run_as: str | None = None
    """The user of the host as whom it runs."""


class Steps(Section):
    declare: dict[Name, OwnStep] = Field(default_factory=dict)
    """Calling people out, assessing, deciding; before anything is touched."""
    isolate: dict[Name, OwnStep] = Field(default_factory=dict)
    """Cutting off what is infected or lost; before anything is touched."""
    data: dict[Name, OwnStep] = Field(default_factory=dict)
    """Beside the restore of the stores."""
    services: dict[Name, OwnStep] = Field(default_factory=dict)
    """Beside the start of the services."""
    verify: dict[Name, OwnStep] = Field(default_factory=dict)
    """Once the services are back."""
    traffic: dict[Name, OwnStep] = Field(default_factory=dict)
    """Leading people to what is back."""
    notify: dict[Name, OwnStep] = Field(default_factory=dict)
    """Telling people."""


class Scenario(Section):
    description: str = ""
    """What happens, in a sentence."""
    disruption: Disruption
    """What kind of disaster it is; it decides what counts as lost and whether a replica is of use."""
    severity: Literal["critical", "high", "medium", "low"] = "critical"
    """How grave it is."""
    affects: Affects = Affects()
    """What it takes away."""
    strategy: Literal["restore", "failover", "partial", "auto"] = "restore"
    """How one comes back; `aegis help scenarios`."""
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
    """Steps that only your people and scripts can do, by phase."""

    @property
    def effect(self) -> Effect:
        return DISRUPTIONS[self.disruption]

    @property
    def lost_sites(self) -> tuple[str, ...]:
        """Sites where nothing is left."""
        return self.affects.sites if self.effect.takes_sites else ()
