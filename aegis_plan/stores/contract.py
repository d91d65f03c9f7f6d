"""What a kind of store offers: a pure spec for planning, and a driver that acts at a site.

The contract holds for stores with chains and a log (PostgreSQL) and without (Neo4j, Milvus): a set is many named
objects, a point may be exact or fuzzy, a restore goes to a place and its swap is a list of journaled sub-steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.catalog.retention import Bonds
from aegis_plan.documents.model import Documents, Store
from aegis_plan.requirement import Requirement

if TYPE_CHECKING:
    from aegis_plan.observe.snapshot import PastDuration, StoreLook
    from aegis_plan.plan.plan import PlanFinding
    from aegis_plan.plan.step import Step


@dataclass(frozen=True)
class Modes:
    """What a kind of store can do."""

    incremental: bool
    log: bool
    consistency: Literal["exact", "fuzzy"]
    """The best that an online backup gives."""
    restore_stops_server: bool
    failover: bool = False
    """Whether a member that follows the primary can take its place."""
    selections: tuple[str, ...] = ()
    """Parts that can be selected: `database`, `table`, `label`, `collection`."""


@dataclass(frozen=True)
class RecoveryPoint:
    """A state to which a store can be brought back."""

    lineage: str
    position: str
    not_before: datetime
    not_after: datetime
    consistency: Literal["exact", "fuzzy"]
    sets: tuple[SetRecord, ...]
    """The chain, full first."""
    log: tuple[LogRecord, ...] = ()
    """Ranges needed beyond the chain, in order."""
    repositories: tuple[str, ...] = ()
    """Those from which at least one object of each record can be read."""


@dataclass(frozen=True)
class Window:
    """A span of time to every moment of which a store can go back. Without a log both ends are those of a set."""

    begin: datetime
    end: datetime
    lineage: str
    position: str
    """Where its end lies."""


@dataclass(frozen=True)
class Refusal:
    """Why a target cannot be reached, what is missing, which range is possible, and the way on."""

    code: str
    summary: str
    detail: str
    hint: str
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Target:
    """Where a restore goes to in time: `latest` when both are None."""

    time: datetime | None = None
    position: str | None = None
    selection: tuple[str, ...] = ()
    """Parts to restore, each `<kind>/<name>` with a kind of `Modes.selections`; empty is everything. A spec refuses
    what its engine cannot do, and names the way on."""


@dataclass(frozen=True)
class Ask:
    """What a planner hands to a spec."""

    documents: Documents
    name: str
    store: Store
    look: StoreLook
    now: datetime
    tier: int
    durations: Callable[[str, str], PastDuration | None] = lambda _action, _subject: None
    """Action and subject to how long that took in past runs, or None."""
    stream: Mapping[str, Any] | None = None
    """What a site's daemon says of this store's log stream; None where none streams it."""
    sites_down: tuple[str, ...] = ()
    """Sites that count as lost: no place there, and no copy."""
    give_up_old: bool = False
    """Whether the old data may be removed first where there is no room for both."""


@dataclass(frozen=True)
class Recipe:
    """Steps with findings; `point` is what a recovery reaches."""

    steps: tuple[Step, ...] = ()
    findings: tuple[PlanFinding, ...] = ()
    choices: tuple[str, ...] = ()
    point: RecoveryPoint | None = None
    serves: str = ""
    """Of a recovery: the step after which the store serves, or, beside, after which what was restored is proved."""
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Candidate:
    """A member that a failover could make the primary, or why it is not chosen."""

    member: str
    site: str
    refusal: str = ""
    """Why it is not chosen; empty: it may be."""
    seen: bool = True
    """Whether the refusal rests on what was seen; False: nobody knows how it is."""
    lag: float | None = None
    """Seconds from its last commit to the look; None is unknown."""


@dataclass(frozen=True)
class Exposure:
    """How much would be lost if the store failed now."""

    seconds: float | None
    """None is unknown."""
    basis: str


class StoreSpec(Protocol):
    """The pure half of a driver: what planners, lint and documents know of an engine."""

    engine: str
    modes: Modes
    built: bool
    """Whether this version has a driver that acts; without one its steps are planned and never applied."""

    def check(self, name: str, store: Store) -> Sequence[tuple[tuple[str | int, ...], str, str]]:
        """Problems of the engine's own fields: path within the store, message, hint."""

    def protect(self, ask: Ask) -> Recipe:
        """What brings protection to what is declared: overdue sets, missing copies, log off. No steps: all is well."""

    def backup(self, ask: Ask, method: Literal["full", "incremental", "log"]) -> Recipe:
        """One backup asked for by hand, with a reason where the method has to change."""

    def recover(self, ask: Ask, target: Target, *, member: str | None, beside: str | None) -> Recipe:
        """The steps of a restore onto `member` (default: the preferred one), or beside. On a target that cannot be
        reached: `refusal`."""

    def candidates(self, ask: Ask) -> Sequence[Candidate]:
        """Every member but a lone primary, the best one first; none where `modes.failover` is off."""

    def fail_over(self, ask: Ask, member: str) -> Recipe:
        """The steps that make a member the primary, the old one fenced or proved down first."""

    def points(self, shelf: Shelf) -> Sequence[Window]:
        """All spans to which the store can be brought back, newest last."""

    def exposure(self, ask: Ask) -> Exposure:
        """What would be lost now."""

    def bonds(self, shelf: Shelf) -> Bonds:
        """What the living records of a shelf need of each other, so that retention never parts them."""


@dataclass(frozen=True)
class Looked:
    """What a driver saw of one member."""

    state: Literal["primary", "replica", "stopped", "unreachable"]
    reason: str = ""
    lineage: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """What a member lacks for all that is declared of its store."""

    requirements: tuple[Requirement, ...]
    read: bool = False
    """Whether backups are read from it as things are."""
    size: int | None = None
    """Bytes of data, of which a full is made."""


class StartAgain(Exception):
    """Raised by `Source.archives` when what was read so far is of no use: it goes, and they are asked for anew."""


class Source(Protocol):
    """One backup being taken: named archives, one after the other, each a stream of bytes."""

    def archives(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Name and bytes of each object; an object's bytes are consumed before the next is asked for. Raises
        StartAgain, and ends to do so by itself."""

    @property
    def method(self) -> Literal["full", "incremental"]:
        """What is being taken, which may be a full where an incremental was asked for."""

    @property
    def expected(self) -> int:
        """Bytes that will come, as far as the store says; 0 is unknown."""

    def members(self) -> list[list[Any]]:
        """Path, offset and size of the files in the archive that was consumed last; empty where it is no archive."""

    def close(self) -> None:
        """Ends the backup however far it is; harmless after `finish`."""

    def finish(self) -> dict[str, Any]:
        """After the last byte: what the set's record says (`method`, `parent`, `begun`, `begin`,
        `end`, `not_before`, `not_after`, `details`, perhaps `consistency`)."""
