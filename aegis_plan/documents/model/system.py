"""What the system is and where it stands: objectives, tiers, sites, state and variables."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from aegis_plan.documents.model.section import Objectives, Section
from aegis_plan.documents.scalars import Duration, Name


class System(Section):
    name: Name
    """Name of the whole system; it stands in the keys of every backup."""
    timezone: str = "UTC"
    """A name of the IANA time zone database; schedules and times without an offset are read in it."""
    objectives: Objectives = Objectives()
    """What is promised for everything that says nothing of its own."""


class State(Section):
    """Where leases, journals and used plans live."""

    authority: Name
    """The repository that keeps them; it should survive the disaster."""
    mirrors: tuple[Name, ...] = ()
    """Repositories that keep copies of journals and used plans."""


class Tier(Section):
    name: Name
    """A word for it, such as `critical`."""
    rto: Duration | None = None
    """Longest time until its services are back; default the system's."""
    rpo: Duration | None = None
    """Most data, in time, that its stores may lose; default the system's."""


class Reach(Section):
    """How a site that is not this host is reached."""

    ssh: str
    """`user@host`."""


def _reached(value: Any) -> str:
    return "local" if isinstance(value, str) else "ssh"


class Site(Section):
    role: Literal["primary", "standby"] = "primary"
    """`standby`: it takes over when a primary site is lost."""
    reach: Annotated[
        Annotated[Literal["local"], Tag("local")] | Annotated[Reach, Tag("ssh")], Discriminator(_reached)
    ] = "local"
    """`local`: commands run on that very host."""
    file: str = ""
    """The site file on that host; default `/etc/aegis/<site>.yaml`. A relative path counts from the documents."""
    formerly: tuple[Name, ...] = ()
    """Names that it had before."""


class Variable(Section):
    """A value that documents use as `{{ name }}`, and that a command line can set."""

    default: str | None = None
    """Without one it has to be set by `--var`, `--var-file` or the environment. In what was loaded: the value that was
    used."""
    description: str = ""
    """What it is for."""
