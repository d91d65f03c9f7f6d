"""What a probe has to say. A probe that could not look is never a pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Result:
    """One check: whether it passed, and why not."""

    verdict: Literal["pass", "fail", "could_not_verify"]
    reason: str = ""
