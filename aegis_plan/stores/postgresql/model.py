"""What planner and driver of PostgreSQL say to each other: fields of a member, what a look sees, step parameters.

Pure; the planner's half is `spec.py`, the acting half is in the modules beside it and in `actions/`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from aegis_plan.documents.model import Section
from aegis_plan.stores.fields import Control

FIRST_INCREMENTAL = 170000
"""`server_version_num` of the first version that takes incrementals of its own."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Server(Section):
    """`members.<name>.server` of a PostgreSQL store: what its host needs for a restore."""

    data_directory: str
    """Where its data lies on its host."""
    binaries: str
    """Folder of `postgres`, `pg_ctl`, `pg_controldata` of the same major version."""
    other_binaries: dict[str, str] = Field(default_factory=dict)
    """The same of other major versions, `{"15": /usr/lib/postgresql/15/bin}`: what was backed up before an upgrade is
    restored beside with them."""
    run_as: str | None = None
    """The user of the host as whom it runs."""
    control: str | Control = "pg_ctl"
    """`pg_ctl`, `systemd:<unit>`, or commands."""
    log_file: str | None = None
    """Where pg_ctl sends the server's output; default `server.log` beside the data directory."""
    options: str = ""
    """Extra command-line options for pg_ctl start (`-o`)."""
    socket_directory: str | None = None
    """Where its socket lies after a restore, when its configuration does not say it."""
    port: int | None = None
    """Where the server listens after a restore, when its configuration does not say it."""


class Slot(Frozen):
    """A physical replication slot as the server shows it."""

    name: str
    active: bool
    wal_status: str | None
    restart_lsn: str | None
    safe_bytes: int | None
    """What may still be written before the slot is lost; None is no limit."""


class Beside(Frozen):
    """A folder to which a restore was asked for, as the member's host sees it."""

    occupied: bool
    """Something lies there already."""
    free_bytes: int | None = None


class Look(Frozen):
    """`MemberLook.details` of a PostgreSQL member. What could not be seen is None."""

    version: int | None = None
    """`server_version_num`, such as 180006; from PG_VERSION times 10,000 when the server is down."""
    system_identifier: str | None = None
    timeline: int | None = None
    flush_lsn: str | None = None
    """On a replica the replayed position."""
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    """On a replica: since the commit that it replayed last. Where nothing is written, it grows though nothing lacks."""
    size_bytes: int | None = None
    wal_level: str | None = None
    wal_segment_size: int | None = None
    summarize_wal: bool | None = None
    data_checksums: bool | None = None
    wal_log_hints: bool | None = None
    max_wal_senders: int | None = None
    max_slot_wal_keep_size_mb: int | None = None
    """-1 is no limit."""
    slot: Slot | None = None
    tablespaces: dict[str, str] = Field(default_factory=dict)
    """OID to location, without the two built-in ones."""
    can_replicate: bool | None = None
    replication_reason: str = ""
    extensions: dict[str, str] = Field(default_factory=dict)
    server_time: datetime | None = None
    # What the host sees of the place, where this site is that host:
    data_directory: Literal["readable", "missing", "empty", "unreadable", "damaged", "elsewhere"] | None = None
    """`damaged`: there, but its control file cannot be read. `elsewhere`: not on this host."""
    control_state: str | None = None
    """`Database cluster state` of the control file."""
    log_readable_from: str | None = None
    """First and last position `<timeline>/<LSN>` of contiguous segments in the old directory's pg_wal, over as many
    timelines as its history has."""
    log_readable_to: str | None = None
    timeline_history: str | None = None
    """The history file of the old directory's timeline, where it is on another than the first."""
    free_bytes: int | None = None
    """On the file system where data is staged: that of the data directory's parent, or its own where it is a mount
    point."""
    used_bytes: int | None = None
    """What would be free there in addition without the data directory and what it links to; None where there are so
    many files that counting takes too long."""
    mount_point: bool | None = None
    binaries_version: int | None = None
    """Major version of the binaries, times 10,000."""
    other_binaries: tuple[str, ...] = ()
    """Other major versions whose binaries are there."""
    host: str | None = None
    beside: dict[str, Beside] = Field(default_factory=dict)
    """By path: the folder that was named, and one of the store's name in it. Empty where none was."""
    leftovers: dict[str, str] = Field(default_factory=dict)
    """What lies where data would be staged, by its path, with the run that put it there; empty where nothing tells."""


class BackupParams(Frozen):
    """Parameters of `backup` for PostgreSQL. The set's id is `<run>-<F|I><attempt number>`."""

    store: str
    member: str
    lineage: str
    method: Literal["full", "incremental"]
    parent: str | None = None
    """Id of the parent's SetRecord."""
    parent_digest: str | None = None
    timeline: int | None = None
    """An incremental is refused when the server is on another one."""
    why_full: str = ""
    """Where an incremental was asked for and a full is taken."""


class LogParams(Frozen):
    """Parameters of `archive-log`: bring the archived log up to what the server has flushed when the step begins."""

    store: str
    member: str
    lineage: str
    slot: str
    begin: str | None = None
    """`<timeline>/<LSN>` at which the archive ends now; None: at the slot's restart position."""


class TailParams(Frozen):
    """Parameters of `archive-tail`: put the unarchived log of an old, stopped data directory into the repositories."""

    store: str
    member: str
    lineage: str
    begin: str
    """`<timeline>/<LSN>` at which the archive ends now."""
    timeline: int | None = None
    """That the old directory went on to; None: that of `begin`."""


class SlotParams(Frozen):
    """Parameters of `create-slot`."""

    store: str
    member: str
    slot: str
    accept_unlimited: bool = False


class FenceParams(Frozen):
    """Parameters of `fence`: the member's server is stopped and kept from starting, where its site can be reached;
    else a person answers for it."""

    store: str
    member: str
    reachable: bool


class PromoteParams(Frozen):
    """Parameters of `promote`, `prove-primary` and `repoint`."""

    store: str
    member: str
    lineage: str | None = None
    timeline: int | None = None
    """On which the replica was; the new primary is on a later one."""


class StreamParams(Frozen):
    """Parameters of `start-log-stream` and `stop-log-stream`."""

    store: str
    member: str
    slot: str
    lineage: str | None = None


class Place(Frozen):
    """Where restored data goes: the server of a member, or a folder of its own."""

    member: str | None = None
    beside: str | None = None
    binaries: str
    run_as: str | None = None
    data_directory: str
    """Final directory: the member's, or the folder beside."""


class StageParams(Frozen):
    """Parameters of `stage`: fetch, verify and unpack a chain, and the log that replay needs."""

    store: str
    lineage: str
    place: Place
    sets: dict[str, str]
    """Record id to record digest, full first."""
    log: dict[str, str]
    """Record id to digest, in order."""
    tail: str | None = None
    """Step whose output `records` (id to digest) extends the log."""
    timeline: int
    """Of the target."""
    target_time: datetime | None = None
    target_lsn: str | None = None
    """None with `target_time` None: to the end of the log."""
    need_bytes: int | None = None


class ProveParams(StageParams):
    """Parameters of `prove`: read all that `stage` would, write none of it, and see whether there is room for it once
    the old data is gone."""

    member: str
    owner: str | None
    """System identifier of the old data as the plan saw it; None where nothing told it."""
    keep: str
    """`no`, or the absolute path to which the old data goes."""
    proved: str | None = None
    """Step that proved all but what `tail` adds."""
    followed: bool = False
    """Whether such a step follows, for which the log is kept."""


class ClearParams(Frozen):
    """Parameters of `clear-place` and `move-away`: the old data goes before the restored data is staged."""

    store: str
    member: str
    place: Place
    lineage: str
    owner: str | None
    keep: str
    need_bytes: int
    tail: str | None = None
    """Step that took the old log; it has to have it whole."""
    tail_begin: str | None = None
    """Where that begins."""


class ReplayParams(Frozen):
    """Parameters of `replay`: start the staged data on a private socket, recover to the target, prove it, stop."""

    store: str
    lineage: str
    place: Place
    timeline: int
    target_time: datetime | None = None
    target_lsn: str | None = None
    stage: str
    """Step that staged; its outputs name the end of the log."""


class ServerParams(Frozen):
    """Parameters of `stop-server` and `start-server`."""

    store: str
    member: str


class SwapParams(Frozen):
    """Parameters of `swap`."""

    store: str
    place: Place
    replay: str
    keep_old: Literal["beside", "no"] | str = "beside"
    cleared: str | None = None
    """Step that took the old data away before; its output `log` is where a linked log lay."""


class AcceptParams(Frozen):
    """Parameters of `accept`: the restored server runs, is on the proved timeline, and may archive again."""

    store: str
    member: str | None
    place: Place
    replay: str
