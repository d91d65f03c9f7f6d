"""The entries of a journal. Pure; the file is `journal/file.py`, the fold `journal/replay.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aegis_plan.errors import DamageError

FORMAT = 1
OLDEST_READER = 1

Kind = Literal[
    "begun",  # run, plan digest, who, on which host
    "approved",  # what, by whom, how
    "lease",  # store/aspect taken, epoch
    "sent",  # attempt key, ledger id, attempt without secrets; before it is submitted
    "outcome",  # key and outcome
    "decided",  # step, what was decided and why (retry, probe, ask, roll back, settle)
    "settled",  # step is done, failed, skipped or undone for good
    "asked",  # a person has to decide: step, question
    "answered",  # what they said
    "stopping",  # interrupt, cancel or a recovery asks
    "ended",  # verdict of the run, RTA, RPA
    "resumed",  # another life of the executor
]


class Entry(BaseModel):
    """One line of the journal. `previous` is the SHA-256 of the line before it, so that a cut or a change shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    at: datetime
    kind: Kind
    step: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    previous: str


def damaged(number: int, why: str) -> DamageError:
    """The error of an entry that cannot have been written so."""
    return DamageError(
        "journal-damaged",
        "the journal is not what was written",
        f"entry {number}: {why}",
        "compare with the copy in the state repositories; do not resume from this file",
    )
