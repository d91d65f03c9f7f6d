"""A plan: documents, what was seen, what would be done, and what that promises. Types only."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.step import PARALLEL, Step

FORMAT = 1
OLDEST_READER = 1
_POSITION = re.compile(r"(?:[0-9]{1,10}/)?[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlanFinding(_Frozen):
    """A finding as a plan carries it."""

    severity: Literal["error", "breach", "warning", "note"]
    code: str
    summary: str
    detail: str = ""
    hint: str = ""
    subject: str = ""
    place: str = ""
    """`file:line:column`, where there is one."""


About = Literal["", "tier", "service", "store"]


class Forecast(_Frozen):
    """What the plan promises against one objective of one subject."""

    subject: str
    about: About = ""
    """What kind of thing the subject is; empty in what older versions wrote."""
    objective: Literal["rto", "rpo"]
    target: float | None
    """Seconds; None when none is declared."""
    expected: float | None
    """Seconds; None is unknown."""
    worst: float | None = None
    """Seconds when every step takes its p95; None where nothing was measured, or it is not known."""
    basis: str
    """How it was found, or why it is not known."""
    evidence: tuple[str, ...] = ()
    """What the weightiest of the times behind it rest on."""
    verdict: Literal["pass", "fail", "could_not_verify", "not_configured"]


STANDS_IN = "stands_in"
"""The option that names the site for which this machine stands in: a scenario that takes it has not taken this one."""


class Intent(_Frozen):
    """What was asked for."""

    kind: Literal["protect", "recover", "backup", "restore", "prune", "verify", "hold", "publish", "rewrap", "escrow"]
    scenario: str = ""
    stores: tuple[str, ...] = ()
    to: str = ""
    """`latest`, a UTC time, or a position (`is_position`)."""
    before: str = ""
    """Time of infection, UTC."""
    sites_down: tuple[str, ...] = ()
    failed_at: str = ""
    beside: str = ""
    """A place for a restore that never swaps."""
    strategy: str = ""
    selection: tuple[str, ...] = ()
    """Parts of the stores, `<kind>/<name>`; empty is everything."""
    options: dict[str, Any] = Field(default_factory=dict)


class Plan(_Frozen):
    """The whole plan. Its digest is that of its canonical JSON without the digest."""

    format: int = FORMAT
    oldest_reader: int = OLDEST_READER
    tool: str
    system: str
    intent: Intent
    documents: Documents
    documents_digest: str
    snapshot: Snapshot
    steps: tuple[Step, ...]
    """In execution order."""
    findings: tuple[PlanFinding, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    serves: dict[str, str] = Field(default_factory=dict)
    """By store that is brought back, the step after which it serves; empty in what older versions wrote."""
    choices: tuple[str, ...] = ()
    """What the planner chose and why, one sentence each."""
    made_at: datetime
    """The snapshot's time."""
    parallelism: int = Field(default=PARALLEL, ge=1)
    """So many steps run at once at most; the forecast counts with it."""

    @property
    def blocked(self) -> bool:
        """Whether an error keeps this plan from being applied."""
        return any(finding.severity == "error" for finding in self.findings)

    @property
    def breached(self) -> bool:
        return any(finding.severity == "breach" for finding in self.findings)


def is_position(text: str) -> bool:
    """Whether it is a place in a store's log, such as 1/0/5000028; any other that is not `latest` is a time."""
    return _POSITION.fullmatch(text) is not None


def limit(intent: Intent) -> int:
    """How many steps run at once in a plan with this intent."""
    asked = intent.options.get("parallelism")
    return asked if isinstance(asked, int) and asked >= 1 else PARALLEL
