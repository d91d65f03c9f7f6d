"""The documents as a frozen model: what people declare, checked for form but not for sense.

Secrets stay references (`${env:NAME}`, `${file:PATH}`, `${command:[...]}`). Engines add their own fields for members
in their `spec.py`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aegis_plan.documents.model.repository import (
    AzureRepository,
    LocalRepository,
    Repository,
    S3Repository,
    Sealing,
)
from aegis_plan.documents.model.response import Channel, Drill, Escalation, Monitor, Role
from aegis_plan.documents.model.scenario import Affects, OwnStep, Scenario, Steps
from aegis_plan.documents.model.schedule import Scheduling
from aegis_plan.documents.model.section import EXPERIMENTAL, Command, Objectives, Section
from aegis_plan.documents.model.service import CommandCheck, Health, HttpCheck, Service, TcpCheck
from aegis_plan.documents.model.store import Backup, BackupKind, Heartbeat, LogBackup, Member, Store
from aegis_plan.documents.model.system import Reach, Site, State, System, Tier, Variable
from aegis_plan.documents.scalars import Name, Reason

__all__ = [
    "EXPERIMENTAL",
    "Affects",
    "AzureRepository",
    "Backup",
    "BackupKind",
    "Channel",
    "Command",
    "CommandCheck",
    "Documents",
    "Drill",
    "Escalation",
    "Health",
    "Heartbeat",
    "HttpCheck",
    "LocalRepository",
    "LogBackup",
    "Member",
    "Monitor",
    "Objectives",
    "OwnStep",
    "Reach",
    "Repository",
    "Role",
    "S3Repository",
    "Scenario",
    "Scheduling",
    "Sealing",
    "Section",
    "Service",
    "Site",
    "State",
    "Steps",
    "Store",
    "System",
    "TcpCheck",
    "Tier",
    "Variable",
]


class Documents(Section):
    """All documents of one system, merged; also the part of them that travels with an attempt."""

    aegis: Literal["v1"] = "v1"
    required_version: str = ""
    """Versions of the program that may read these documents, such as `>=0.3,<1`."""
    variables: dict[str, Variable] = Field(default_factory=dict)
    system: System
    state: State | None = None
    tiers: dict[str, Tier] = Field(default_factory=dict)
    sites: dict[Name, Site] = Field(default_factory=dict)
    services: dict[Name, Service] = Field(default_factory=dict)
    stores: dict[Name, Store] = Field(default_factory=dict)
    repositories: dict[Name, Repository] = Field(default_factory=dict)
    sealing: Sealing | None = None
    schedule: Scheduling = Scheduling()
    scenarios: dict[Name, Scenario] = Field(default_factory=dict)
    team: dict[Name, Role] = Field(default_factory=dict)
    channels: dict[Name, Channel] = Field(default_factory=dict)
    drills: dict[Name, Drill] = Field(default_factory=dict)
    monitors: dict[Name, Monitor] = Field(default_factory=dict)
    accepted: dict[str, dict[str, Reason]] = Field(default_factory=dict)
    """Rule of lint to what it may find, such as `stores/policy-db/backup/log/retain`, and why that is all right."""
