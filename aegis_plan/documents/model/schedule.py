"""How schedules are kept: jitter, who is told of a failure, what is pinged, how long the history stays."""

from __future__ import annotations

from pydantic import Field

from aegis_plan.documents.model.section import Section
from aegis_plan.documents.scalars import Duration, Name


class Scheduling(Section):
    """What holds for every schedule; the schedules themselves stand with the stores."""

    jitter: Duration = Field(default="0s", validate_default=True)
    """Each store begins up to this much after the moment of its schedule, always as much, so that not everything
    begins at once; never more than a tenth of the time between two of its moments."""
    parallel: int = Field(default=4, ge=1, le=100)
    """How many backups `aegis schedule run` has under way at once; for the log it has as many places of its own."""
    lease: Duration = Field(default="60s", validate_default=True)
    """After so long without a word from the leading scheduler another one takes over."""
    dead_man: str = ""
    """Address that is asked for after each due run that ended well, such as `${env:DEAD_MAN}`: whoever stands behind
    it gives the alarm when nothing comes any more."""
    notify: tuple[Name, ...] = ()
    """Channels that are told of failures and of their end, besides those that name `backup-failed` below `tells`."""
    history: Duration = Field(default="400 days", validate_default=True)
    """How long the records of what was due, done and missed are kept."""
