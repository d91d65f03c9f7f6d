"""Services: what people use, what each cannot do without, how it is started, seen to be well and reached."""

from __future__ import annotations

from pydantic import Field

from aegis_plan.documents.model.section import Command, Section
from aegis_plan.documents.scalars import Duration, Name


class HttpCheck(Section):
    url: str
    """Address that is asked."""
    status: int = 200
    """The status that means that it is well."""
    contains: str = ""
    """What the answer has to hold."""
    timeout: Duration = Field(default="5s", validate_default=True)
    """How long one attempt may take."""


class TcpCheck(Section):
    address: str
    """`host:port`."""
    timeout: Duration = Field(default="5s", validate_default=True)
    """How long one attempt may take."""


class CommandCheck(Section):
    run: tuple[str, ...]
    """A program with its arguments, which ends with 0 when it is well."""
    timeout: Duration = Field(default="30s", validate_default=True)
    """How long one attempt may take."""


class Health(Section):
    """How one sees that a service serves; all that are given must pass."""

    http: HttpCheck | None = None
    """An address that has to answer."""
    tcp: TcpCheck | None = None
    """A port that has to take connections."""
    command: CommandCheck | None = None
    """A program that has to end well."""
    within: Duration = Field(default="5m", validate_default=True)
    """How long a gate waits for it to become healthy."""


class Service(Section):
    tier: int
    """Number of its tier."""
    owner: str = ""
    """Who answers for it: a role of the team, or a name."""
    uses: tuple[Name, ...] = ()
    """Stores and services that it cannot do without."""
    runs_at: tuple[Name, ...] = ()
    """Sites at which it runs or can run, the first to be taken first."""
    health: Health | None = None
    """How one sees that it serves."""
    start: Command | None = None
    """How it is started."""
    stop: Command | None = None
    """How it is stopped; with it, a start can be taken back."""
    managed_by: str = ""
    """What else starts and stops it, such as an operator of a cluster; a plan then waits for it and starts nothing."""
    formerly: tuple[Name, ...] = ()
    """Names that it had before."""
