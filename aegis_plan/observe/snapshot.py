"""The world as it was seen at one moment. Pure data; a plan is made from it and carries it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aegis_plan.catalog.holding import Damage, Shelf
from aegis_plan.catalog.living import newest_set


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemberLook(_Frozen):
    """One server of a store, as its site saw it."""

    member: str
    site: str
    state: Literal["primary", "replica", "stopped", "unreachable", "unknown"]
    """`stopped`: its site is sure that no server runs there. `unreachable`: it did not answer, and nothing more is
    known. `unknown`: not looked at."""
    reason: str = ""
    lineage: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    """The driver's own: positions, sizes, slots, settings, free space, whether the data directory is readable."""


class StoreLook(_Frozen):
    """One store: its members and what the repositories hold of it."""

    store: str
    members: tuple[MemberLook, ...]
    shelf: Shelf

    def member(self, name: str) -> MemberLook | None:
        return next((member for member in self.members if member.member == name), None)

    @property
    def primary(self) -> MemberLook | None:
        """The one member that is primary; None when there is none or more than one."""
        found = [member for member in self.members if member.state == "primary"]
        return found[0] if len(found) == 1 else None


class ServiceLook(_Frozen):
    """One service by its health checks."""

    service: str
    verdict: Literal["pass", "fail", "could_not_verify", "not_configured"]
    reason: str = ""


class SiteLook(_Frozen):
    """One site: whether it answers, and what its daemon does."""

    site: str
    reachable: bool
    reason: str = ""
    host: str = ""
    daemon: dict[str, Any] | None = None
    """What `site run` says it is doing; None when it does not run."""
    signer: str = ""
    """The public half of its signing key; empty where it has none, or none that can be used."""
    recipients: tuple[str, ...] = ()
    """The public halves of its identities."""
    keys_trouble: str = ""
    """Why its keys cannot be used."""


class PastDuration(_Frozen):
    """How long steps of one kind on one subject took before, from journals."""

    action: str
    subject: str
    count: int
    seconds: float
    """Mean."""
    bytes: int | None = None
    """Mean bytes handled, where bytes count."""
    p50: float | None = None
    """The median; None in what older versions wrote."""
    p95: float | None = None
    """So long or shorter in 95 of 100 cases; the longest of all where there are fewer than 20."""


class PublishedLook(_Frozen):
    """What the repositories hold of the documents that were published."""

    number: int = 0
    """Of the newest publication that is believed; 0 for none."""
    last: int = 0
    """The highest number that is there, believed or not."""
    digest: str = ""
    revision: str = ""
    """Digest of its files and of the values of their variables."""
    written: datetime | None = None
    site: str = ""
    tool: str = ""
    """The version that published it."""
    wheels: tuple[str, ...] = ()
    """Files of the tool that lie beside it."""
    holders: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    """Repositories that were looked at and do not hold it."""
    unseen: dict[str, str] = Field(default_factory=dict)
    """Repositories that could not be looked at, with the reason."""
    damage: tuple[Damage, ...] = ()


class WorkingCopy(_Frozen):
    """The documents as files, where a plan was made from files."""

    revision: str
    archive: str
    """The files, a compressed tar archive in base64."""
    variables: dict[str, str] = Field(default_factory=dict)
    """The values that they were read with."""


class RoomsLook(_Frozen):
    """What one repository holds, by the names of it alone."""

    repository: str
    stores: tuple[str, ...] = ()
    """Stores of which something lies there, declared or not."""
    history: tuple[str, ...] = ()
    """Days of which it holds records of the schedule, oldest first."""
    reason: str = ""
    """Why it could not be looked at; empty where it was."""


class Snapshot(_Frozen):
    """Everything a plan knows of the world. `taken_at` is the plan's only now."""

    taken_at: datetime
    sites: dict[str, SiteLook] = Field(default_factory=dict)
    stores: dict[str, StoreLook] = Field(default_factory=dict)
    services: dict[str, ServiceLook] = Field(default_factory=dict)
    durations: tuple[PastDuration, ...] = ()
    published: PublishedLook | None = None
    """None where nobody looked."""
    rooms: tuple[RoomsLook, ...] = ()
    working: WorkingCopy | None = None
    facts: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """Flat facts and measurements by name, for staleness: see `plan/step.py`."""


PUBLICATION = "_system/publication"
"""The fact that is the digest of the newest publication; empty for none."""

Facts = dict[str, str | int | float | bool | None]


def store_facts(look: StoreLook) -> Facts:
    """The facts and measurements of one store, by the names that steps rest on."""
    name, primary = look.store, look.primary
    facts: Facts = {
        f"{name}/primary": primary.member if primary is not None else None,
        f"{name}/lineage": primary.lineage if primary is not None else None,
        f"{name}/newest-set": newest_set(look.shelf),
    }
    for member in look.members:
        prefix = f"{name}/{member.member}"
        facts[f"{prefix}/state"] = member.state
        facts[f"{prefix}/lineage"] = member.lineage
        for fact, detail in (("timeline", "timeline"), ("free-bytes", "free_bytes"), ("lag-bytes", "lag_bytes")):
            value = member.details.get(detail)
            facts[f"{prefix}/{fact}"] = value if isinstance(value, (str, int, float, bool)) else None
    return facts
