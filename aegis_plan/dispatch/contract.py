"""The step attempt, its outcome, and what anything that carries attempts must promise.

Every dispatcher passes `tests/conformance/dispatch.py`. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

CONTRACT_VERSION = 1

Verb = Literal["look", "probe", "act", "undo"]
Verdict = Literal["done", "failed", "not_started", "cancelled", "unknown"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mark(_Frozen):
    """Something an action wrote down durably while it acted, so that a successor knows how far it came."""

    name: str
    data: dict[str, Any] = Field(default_factory=dict)
    at: datetime


class Earlier(_Frozen):
    """What earlier attempts of the same step left: marks in order and, for `undo`, the outputs of the act."""

    marks: tuple[Mark, ...] = ()
    outputs: dict[str, Any] = Field(default_factory=dict)


class Attempt(_Frozen):
    """One try of one verb of one step at one site. Its key is claimed at the site once and for good."""

    contract_version: int = CONTRACT_VERSION
    run: str
    step: str
    verb: Verb
    number: int
    """Counts from 1 per run, step and verb."""
    epoch: int
    """Of the lease under which it is sent; a site refuses one below the highest it has seen for the resource.
    0 where the step holds no lease."""
    site: str
    resource: str
    """What is locked at the site while it acts: `<store>/<aspect>`, `<service>`, or empty for nothing."""
    action: str
    params: dict[str, Any]
    declared: dict[str, Any]
    """The part of the documents that the action needs, with secrets still as references."""
    outputs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Outputs of the steps it builds on, by step, from the journal."""
    earlier: Earlier = Earlier()
    start_by: datetime
    """Past this moment the site refuses to begin."""
    timeout: float
    """Seconds after the begin at which it is told to stop."""

    @property
    def key(self) -> str:
        return f"{self.run}:{self.step}:{self.verb}:{self.number}"


class Trouble(_Frozen):
    """An error as it travels: never with a secret in it."""

    code: str
    summary: str
    detail: str = ""
    hint: str = ""


class Note(_Frozen):
    """A finding that an action made; `done` with findings is degraded."""

    severity: Literal["error", "breach", "warning", "note"]
    code: str
    summary: str
    detail: str = ""
    hint: str = ""


class Progress(_Frozen):
    """How far a running attempt is."""

    key: str
    phase: str = ""
    done: int = 0
    """In `unit`, usually bytes."""
    total: int | None = None
    unit: str = "B"
    elapsed: float = 0.0


class Outcome(_Frozen):
    """How an attempt ended, or that nobody knows."""

    key: str
    verdict: Verdict
    answer: Literal["satisfied", "needed", "unknown"] | None = None
    """Of a probe."""
    outputs: dict[str, Any] = Field(default_factory=dict)
    findings: tuple[Note, ...] = ()
    trouble: Trouble | None = None
    marks: tuple[Mark, ...] = ()
    begun: datetime | None = None
    ended: datetime | None = None
    ledger: str = ""
    """Id of the site's ledger that answers; another ledger's answer counts as unknown."""


class Dispatcher(Protocol):
    """Carries attempts. Methods are safe to call from several threads."""

    def ledger(self, site: str) -> str:
        """The id of the site's ledger; the run journals it before it submits.

        Raises UnavailableError `site-unreachable`."""

    def submit(self, attempt: Attempt) -> None:
        """Hands an attempt over; returns at once. The same key twice is the same attempt.

        Whatever goes wrong shows as the outcome of the key: a site that cannot be reached is `not_started` when it
        is sure that nothing was begun, else `unknown`."""

    def poll(self, key: str) -> Progress | Outcome:
        """The present state of a key. One that this dispatcher never carried is asked of the site's ledger:
        unclaimed is `not_started`; claimed, unsettled and no longer held is `unknown`."""

    def attach(self, attempt: Attempt) -> None:
        """After a restart of the executor: makes `poll` answer for a key submitted in an earlier life."""

    def wait(self, keys: Iterable[str], seconds: float) -> None:
        """Returns when the state of any of the keys changed, or after `seconds`."""

    def cancel(self, key: str, reason: str) -> None:
        """Asks the attempt to stop; a request, its outcome tells."""

    def close(self) -> None:
        """Ends what this dispatcher started; attempts still running are asked to stop first."""
