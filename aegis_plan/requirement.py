"""One thing that has to be there before something declared can work, and whether it is. Pure; it looks at nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from aegis_plan.errors import EXIT_BREACH, EXIT_FAILED, EXIT_OK, AegisError

State = Literal["ok", "missing", "could_not_verify"]


class Requirement(BaseModel):
    """What is needed, what was found, and the exact words that bring it about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    """Has a section in the manual, whatever the state."""
    state: State
    summary: str
    """What has to be so, in words that hold for all states."""
    severity: Literal["breach", "warning", "note"] = "breach"
    """What it means when it is not so. Notes and warnings never change how a command exits."""
    subject: str = ""
    """`stores/policy-db/seoul-1`, `repositories/local`, `sites/seoul`."""
    needed_for: tuple[str, ...] = ()
    """`full`, `incremental`, `log`, `stream`, `restore`."""
    detail: str = ""
    """What was found, or why nothing could be."""
    hint: str = ""
    sql: tuple[str, ...] = ()
    """Statements for psql, by a superuser, in the database `database`."""
    database: str = ""
    hba: tuple[str, ...] = ()
    """Lines for `hba_file`."""
    hba_file: str = ""
    effect: Literal["", "reload", "restart"] = ""
    """What the server needs before it takes notice."""
    policy: dict[str, Any] | None = None
    """A policy for the account at a bucket, as its service takes it."""
    commands: tuple[str, ...] = ()
    """Lines for a shell on that host."""

    @property
    def counts(self) -> bool:
        """Whether it changes how a command exits."""
        return self.severity == "breach" and self.state != "ok"


def unverified(code: str, summary: str, error: AegisError | str, subject: str = "", **more: Any) -> Requirement:
    """What could not be looked at; never mistaken for something that is there."""
    detail = error if isinstance(error, str) else error.detail or error.summary
    if isinstance(error, AegisError) and error.detail:
        detail = f"{error.summary}: {error.detail}"
    return Requirement(
        code=code, state="could_not_verify", summary=summary, detail=detail, subject=subject,
        **{"hint": "" if isinstance(error, str) else error.hint, **more},
    )  # fmt: skip


def exit_code(requirements: Iterable[Requirement]) -> int:
    """3 where something declared cannot work; else 1 where something is not known; else 0."""
    states = {one.state for one in requirements if one.counts}
    if "missing" in states:
        return EXIT_BREACH
    return EXIT_FAILED if "could_not_verify" in states else EXIT_OK
