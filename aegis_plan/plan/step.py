"""One step of a plan, as it stands in the plan file and is carried out unchanged."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aegis_plan.actions.spec import ACTIONS
from aegis_plan.observe.snapshot import PastDuration

Phase = Literal["protect", "declare", "isolate", "data", "services", "verify", "traffic", "notify"]
"""Where a step belongs within its tier, in this order."""
PHASES: tuple[Phase, ...] = ("protect", "declare", "isolate", "data", "services", "verify", "traffic", "notify")

PARALLEL = 8
"""So many steps run at once, unless the plan or who applies it says otherwise."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fact(_Frozen):
    """Something that must still hold when the step begins. Its value is compared with that of a new snapshot."""

    name: str
    """`<store>/lineage`, `<store>/primary`, `<store>/newest-set`, `<store>/<member>/state`, `<site>/space` and so on:
    a key of `Snapshot.facts`."""
    value: str | int | float | bool | None
    tolerance: float | None = None
    """For a measurement: how far it may move (same unit) before the plan is stale. None: must be equal."""
    at_least: float | None = None
    """For a measurement of which only a minimum matters, such as free space."""


class Estimate(_Frozen):
    """How long a step is expected to take, and how we know."""

    seconds: float | None = None
    """What is expected: the median where it was measured. None is unknown."""
    basis: str = "unknown"
    """`declared`, `measured n times`, `from size, measured n times`, `unknown`."""
    bytes: int | None = None
    worst: float | None = None
    """The 95th percentile where it was measured (the longest, where that was seldom); None is not known."""
    count: int = 0
    """How often it was measured."""


def measured(past: PastDuration, size: int | None = None) -> Estimate:
    """What past runs say; in proportion to `size` where both sizes are known."""
    times = "once" if past.count == 1 else f"{past.count} times"
    usual = past.p50 if past.p50 is not None else past.seconds
    by_size = size / past.bytes if size and past.bytes else 1.0
    return Estimate(
        seconds=usual * by_size,
        basis=f"from size, measured {times}" if size and past.bytes else f"measured {times}",
        bytes=size,
        worst=past.p95 * by_size if past.p95 is not None else None,
        count=past.count,
    )


class Step(_Frozen):
    """One step. Everything that apply needs besides secrets is in here or in the plan's documents."""

    id: str
    """Unique in the plan, speaking: `policy-db.stage`."""
    action: str
    title: str
    reason: str
    """Why it is in the plan, one sentence."""
    site: str
    tier: int
    """0 is before all tiers."""
    phase: Phase
    subject: str = ""
    """The store or service that it is about."""
    resource: str = ""
    """Locked at the site: `<store>/data`, `<store>/log`, a service's name, or nothing."""
    lease: str = ""
    """`<store>/<aspect>` that the run must hold."""
    params: dict[str, Any] = Field(default_factory=dict)
    declared: tuple[str, ...] = ()
    """Names of documents sent along: `stores/policy-db`, `repositories/*`, `sites/*`, `services/x`."""
    needs: tuple[str, ...] = ()
    builds_on: tuple[str, ...] = ()
    """Steps whose outputs are sent along; each is in `needs` too, or before one that is."""
    facts: tuple[Fact, ...] = ()
    changes: tuple[str, ...] = ()
    """Names of facts that this step alters; once it was sent they are no longer held against the plan."""
    symbol: str
    reversible: bool
    destructive: bool = False
    repeatable: bool = True
    scratch: bool = False
    """What it made goes when its run ends without it."""
    approve: str = ""
    """When not empty a person approves right before it, and this is what they are asked."""
    retries: int = 0
    retry_delay: float = 5.0
    timeout: float = 86_400.0
    estimate: Estimate = Estimate()
    on_error: Literal["stop", "continue"] = "stop"
    gate: bool = False
    """A health gate: service and traffic steps of lower tiers wait for it."""
    built: bool = True
    """Whether the version that made the plan could do it; a plan with one that it could not is never applied."""


def new_step(action: str, *, seconds: float | None = None, **fields: Any) -> Step:
    """A step of a known kind, with the symbol and flags that its kind has; `fields` are those of `Step`.

    `seconds` is a timeout other than the kind's own. Raises KeyError for a kind that `actions/spec.py` does not
    know."""
    spec = ACTIONS[action]
    known: dict[str, Any] = {
        "title": spec.title,
        "symbol": spec.symbol,
        "reversible": spec.reversible,
        "destructive": spec.destructive,
        "repeatable": spec.repeatable,
        "scratch": spec.scratch,
        "built": spec.built,
        "retries": spec.retries,
        "retry_delay": spec.retry_delay,
        "timeout": seconds if seconds is not None else spec.timeout,
    }
    made = Step(action=action, **{**known, **fields})
    # Its own set of the names of all that was given would weigh more than all the rest of it.
    object.__setattr__(made, "__pydantic_fields_set__", _GIVEN)
    return made


_GIVEN = set(Step.model_fields)
