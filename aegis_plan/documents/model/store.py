"""Stores: databases with their members, how they are backed up and how long backups are kept."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aegis_plan.documents.model.section import Section
from aegis_plan.documents.scalars import Duration, Flag, Name, Percentage, Schedule, Size


class BackupKind(Section):
    schedule: Schedule | None = None
    """Cron, five fields, in the system's time zone."""
    retain: Duration | None = None
    """How long it is kept."""
    estimate: Duration | None = None
    """How long one takes, until that was measured."""


class LogBackup(BackupKind):
    stream: Flag = False
    """Kept flowing by the site daemon instead of, or beside, a schedule."""
    slot: str | None = None
    """Name of the replication slot; default `aegis_<store>`."""
    accept_unlimited_slot: Flag = False
    """Explicit acceptance that a slot may fill the server's disk where the server sets no limit."""


class Retention(Section):
    """What `retain` of full, incremental and log does not say of how backups go."""

    minimum_fulls: int = Field(default=2, ge=1)
    """So many of the newest full backups that are held whole stay, whatever their age."""
    grace: Duration = Field(default="1 day", validate_default=True)
    """How long an expired backup lies marked before it is deleted; a hold takes the mark back."""
    shortening_grace: Duration = Field(default="1 week", validate_default=True)
    """How long after the first backup made under it a shortened `retain` begins to apply."""
    leftovers_after: Duration = Field(default="2 days", validate_default=True)
    """How old an object that no backup names, or an unfinished upload, has to be before `aegis prune` removes it."""


class Verification(Section):
    every: Duration
    """How old the last verification of a copy may become."""
    data: Percentage | None = None
    """The share of the data that is read again each time, so chosen that over time all of it is; without it, what the
    service vouches for is not read."""


class Backup(Section):
    repositories: tuple[Name, ...]
    """Where every set goes, to all at once."""
    full: BackupKind | None = None
    """Everything."""
    incremental: BackupKind | None = None
    """What changed since the set before."""
    log: LogBackup | None = None
    """What is written in between, so that any moment can be reached."""
    from_member: Name | None = None
    """Which member is read; default the primary."""
    compression: int = Field(default=3, ge=-7, le=19)
    """zstd level."""
    bandwidth: Size | None = None
    """Bytes a second, at most."""
    retention: Retention = Field(default_factory=Retention)
    """How expired backups go."""
    verify: Verification | None = None
    """How often copies are verified, and how much of them is read."""
    transfer_compression: Literal["none", "gzip", "zstd"] = "none"
    """How the server compresses what it sends, where the way to it is slow; a server may not be able to."""


class Member(Section):
    """One server of a store: the primary or a replica, which one is looked at. `connection` and `server` hold the
    engine's own fields, checked by its `spec.py`."""

    site: Name
    """Where it runs."""
    connection: str = ""
    """A secret reference, or a connection string without a password."""
    server: dict[str, Any] = Field(default_factory=dict)
    promote: Flag = True
    """Whether a failover may make it the primary."""
    lag: Duration | None = None
    """How far it may lie behind the primary before that is a finding."""


class Heartbeat(Section):
    """A row that is written regularly and tells what time restored data is from."""

    query: str
    """Returns one timestamp with time zone."""
    database: str = ""
    """The database that is asked; default that of the connection."""


class Store(Section):
    engine: Name
    members: dict[Name, Member]
    """Its servers."""
    preferred: Name | None = None
    """The member that should be the primary; moving back is always a plan of its own."""
    formerly: tuple[Name, ...] = ()
    """Names that it had before; what was backed up under them stays its own."""
    managed_by: str = ""
    """What else starts, stops and promotes its servers, such as Patroni; a plan says that it has to be paused."""
    backup: Backup | None = None
    """What is backed up when, where to, and how long it is kept."""
    heartbeat: Heartbeat | None = None
    """How the time of restored data is found."""
    keep_old_data: str = "beside"
    """What becomes of the data directory that a restore replaces: kept `beside`, moved to this absolute path, or not
    kept (`no`)."""
