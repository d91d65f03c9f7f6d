"""Services: what people use, what each cannot do without, how it is started, seen to be well and reached."""

from __future__ import annotations

from pydantic import Field

from aegis_plan.documents.model.section import Command, Section
from aegis_plan.documents.scalars import Duration, Name


class HttpCheck(Section):
    url: str
    status: int = 200
    contains: str = ""
    timeout: Duration = Field(default="5s", validate_default=True)


class TcpCheck(Section):
    address: str
    """`host:port`."""
    timeout: Duration = Field(default="5s", validate_default=True)


class CommandCheck(Section):
    run: tuple[str, ...]
    timeout: Duration = Field(default="30s", validate_default=True)


class Health(Section):
    """How one sees that a service serves; all that are given must pass."""

    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    command: CommandCheck | None = None
    within: Duration = Field(default="5m", validate_default=True)
    """How long a gate waits for it to become healthy."""


class Service(Section):
    tier: int
    owner: str = ""
    """Who answers for it: a role of the team, or a name."""
    uses: tuple[Name, ...] = ()
    """Stores and services that it cannot do without."""
    runs_at: tuple[Name, ...] = ()
    health: Health | None = None
    start: Command | None = None
    stop: Command | None = None
    managed_by: str = ""
    """What else starts and stops it, such as an operator of a cluster; a plan then waits for it and starts nothing."""
    formerly: tuple[Name, ...] = ()
    """Names that it had before."""
