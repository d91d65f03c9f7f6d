"""What a step waits for besides its declared needs: health gates. The one rule that the executor, the schedule and
explanations share. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

GATED = ("services", "traffic")
"""Phases that the health gates of lower-numbered tiers hold back."""


class Waiting(Protocol):
    """What the rule looks at in a step."""

    @property
    def tier(self) -> int: ...
    @property
    def phase(self) -> str: ...
    @property
    def gate(self) -> bool: ...


def gated(step: Waiting) -> bool:
    """Whether the gates of more critical tiers hold this step back. Gates themselves are not: they only look."""
    return step.phase in GATED and not step.gate


def gate_tiers(steps: Iterable[Waiting]) -> tuple[int, ...]:
    """The tiers that have gates, ascending."""
    return tuple(sorted({step.tier for step in steps if step.gate}))
