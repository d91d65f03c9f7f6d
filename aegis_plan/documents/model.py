"""The documents as a frozen model: what people declare, checked for form but not for sense.

Secrets stay references (`${env:NAME}`, `${file:PATH}`, `${command:[...]}`). Engines add their own fields for members
in their `spec.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from aegis_plan.documents.scalars import Duration, Flag, Name, Percentage, Schedule, Size


class Section(BaseModel):
    """Base of everything in a document: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Objectives(Section):
    """Targets: how long things may be down, and how much may be lost in time."""

    rto: Duration | None = None
    rpo: Duration | None = None
    mttr: Duration | None = None
    availability: Percentage | None = None


class System(Section):
    name: Name
    timezone: str = "UTC"
    objectives: Objectives = Objectives()


class State(Section):
    """Where leases, journals and used plans live."""

    authority: Name
    mirrors: tuple[Name, ...] = ()


class Tier(Section):
    name: Name
    rto: Duration | None = None
    rpo: Duration | None = None


class Reach(Section):
    """How a site that is not this host is reached."""

    ssh: str


def _reached(value: Any) -> str:
    return "local" if isinstance(value, str) else "ssh"


class Site(Section):
    role: Literal["primary", "standby"] = "primary"
    reach: Annotated[
        Annotated[Literal["local"], Tag("local")] | Annotated[Reach, Tag("ssh")], Discriminator(_reached)
    ] = "local"
    file: str = ""
    """The site file on that host; default `/etc/aegis/<site>.yaml`. A relative path counts from the documents."""


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


class Command(Section):
    """A program with its arguments; no shell."""

    command: tuple[str, ...]
    timeout: Duration = Field(default="10m", validate_default=True)
    estimate: Duration | None = None
    run_as: str | None = None


class Service(Section):
    tier: int
    owner: str = ""
    uses: tuple[Name, ...] = ()
    """Stores and services that it cannot do without."""
    runs_at: tuple[Name, ...] = ()
    health: Health | None = None
    start: Command | None = None
    stop: Command | None = None


class BackupKind(Section):
    schedule: Schedule | None = None
    retain: Duration | None = None


class LogBackup(BackupKind):
    stream: Flag = False
    """Kept flowing by the site daemon instead of, or beside, a schedule."""
    slot: str | None = None
    """Name of the replication slot; default `aegis_<store>`."""
    accept_unlimited_slot: Flag = False
    """Explicit acceptance that a slot may fill the server's disk where the server sets no limit."""


class Backup(Section):
    repositories: tuple[Name, ...]
    full: BackupKind | None = None
    incremental: BackupKind | None = None
    log: LogBackup | None = None
    from_member: Name | None = None
    """Which member is read; default the primary."""
    compression: int = Field(default=3, ge=-7, le=19)
    """zstd level."""
    bandwidth: Size | None = None
    """Bytes a second, at most."""


class Member(Section):
    """One server of a store. `connection` and `server` hold the engine's own fields, checked by its `spec.py`."""

    site: Name
    connection: str = ""
    """A secret reference, or a connection string without a password."""
    server: dict[str, Any] = Field(default_factory=dict)


class Heartbeat(Section):
    """A row that is written regularly and tells what time restored data is from."""

    query: str
    """Returns one timestamp with time zone."""
    database: str = ""


class Store(Section):
    engine: Name
    members: dict[Name, Member]
    preferred: Name | None = None
    formerly: tuple[Name, ...] = ()
    backup: Backup | None = None
    heartbeat: Heartbeat | None = None
    keep_old_data: str = "beside"
    """What becomes of the data directory that a restore replaces: kept `beside`, moved to this absolute path, or not
    kept (`no`)."""


class LocalRepository(Section):
    kind: Literal["local"]
    site: Name
    path: str
    clean_up_after_copies: int | None = Field(default=None, ge=1)


class S3Repository(Section):
    kind: Literal["s3"]
    bucket: str
    prefix: str = ""
    region: str = ""
    endpoint: str = ""
    site: Name | None = None
    access_key: str = ""
    secret_key: str = ""
    """Secret references; default the SDK's own chain."""
    checksums: Literal["when_supported", "when_required"] = "when_supported"
    path_style: Flag | None = None
    part_size: Size = Field(default="16MiB", validate_default=True)
    ca: str = ""


Repository = Annotated[LocalRepository | S3Repository, Field(discriminator="kind")]


class Sealing(Section):
    recipients: tuple[str, ...] = ()
    """age recipients that can read backups."""
    recovery_recipient: str
    """The offline recovery recipient; everything is sealed to it too."""
    signers: dict[Name, str] = Field(default_factory=dict)
    """Site to `ed25519:<base64 public key>`."""
    former_signers: dict[Name, tuple[str, ...]] = Field(default_factory=dict)
    """Site, also one that is no more, to public keys that signed earlier and are believed still."""
    host_recipients: dict[Name, str] = Field(default_factory=dict)
    """Site to the age recipient of its host, for what the next backup needs to read."""
    minimum_copies: int = Field(default=1, ge=1)

    @property
    def believed(self) -> dict[str, tuple[str, ...]]:
        """Site to every public key whose signature under its name is believed, the present one first."""
        names = dict.fromkeys([*self.signers, *self.former_signers])
        return {
            name: (*((self.signers[name],) if name in self.signers else ()), *self.former_signers.get(name, ()))
            for name in names
        }


class Affects(Section):
    sites: tuple[Name, ...] = ()
    stores: tuple[Name, ...] = ()
    services: tuple[Name, ...] = ()


class OwnStep(Section):
    """A step of one's own, hung on a phase of a scenario."""

    run: tuple[str, ...] | None = None
    manual: str | None = None
    """What a person has to do."""
    site: Name | None = None
    tier: int = 0
    needs: tuple[Name, ...] = ()
    undo: tuple[str, ...] | None = None
    probe: tuple[str, ...] | None = None
    """A command that ends with 0 when the effect is there and 1 when it is not."""
    approve: str | None = None
    timeout: Duration = Field(default="1h", validate_default=True)
    estimate: Duration | None = None
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
    disruption: Literal["host", "zone", "site", "store", "logical", "ransomware"]
    affects: Affects = Affects()
    strategy: Literal["restore", "failover", "partial", "auto"] = "restore"
    expect: Objectives = Objectives()
    steps: Steps = Steps()


class Documents(Section):
    """All documents of one system, merged; also the part of them that travels with an attempt."""

    aegis: Literal["v1"] = "v1"
    system: System
    state: State | None = None
    tiers: dict[str, Tier] = Field(default_factory=dict)
    sites: dict[Name, Site] = Field(default_factory=dict)
    services: dict[Name, Service] = Field(default_factory=dict)
    stores: dict[Name, Store] = Field(default_factory=dict)
    repositories: dict[Name, Repository] = Field(default_factory=dict)
    sealing: Sealing | None = None
    scenarios: dict[Name, Scenario] = Field(default_factory=dict)
