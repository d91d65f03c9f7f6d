"""The one tree of errors, and what each code means to a person and to a shell. It never prints and never exits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CHANGES = 2
EXIT_BREACH = 3
EXIT_STALE = 4
EXIT_LOCKED = 5
EXIT_PARTIAL = 6
EXIT_UNKNOWN = 7
EXIT_USAGE = 64
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Position:
    """A place in a document: file, line and column, the last two counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class AegisError(Exception):
    """An expected failure, told to a person.

    `code` is stable and has a section of its name in `docs/errors.md`; `summary` names nothing of the user's so that
    it can be recognised and searched; `detail` says what and why with names; `hint` says what to do.
    """

    exit_code = EXIT_FAILED

    def __init__(
        self,
        code: str,
        summary: str,
        detail: str = "",
        hint: str = "",
        position: Position | None = None,
        exit_code: int | None = None,
    ) -> None:
        super().__init__(f"{summary}: {detail}" if detail else summary)
        self.code = code
        self.summary = summary
        self.detail = detail
        self.hint = hint
        self.position = position
        if exit_code is not None:
            self.exit_code = exit_code

    def as_data(self) -> dict[str, Any]:
        """The error as JSON carries it, in journals, events and `--json`."""
        data: dict[str, Any] = {"code": self.code, "summary": self.summary}
        if self.detail:
            data["detail"] = self.detail
        if self.hint:
            data["hint"] = self.hint
        if self.position:
            data["position"] = {
                "file": self.position.file,
                "line": self.position.line,
                "column": self.position.column,
            }
        return data


class UsageError(AegisError):
    """The command line asks for something that makes no sense."""

    exit_code = EXIT_USAGE


class StaleError(AegisError):
    """The plan no longer fits the world or the documents, or it was applied already."""

    exit_code = EXIT_STALE


class LockedError(AegisError):
    """Somebody else holds what this needs."""

    exit_code = EXIT_LOCKED


class UnknownOutcomeError(AegisError):
    """Nobody knows whether an effect took place; a person has to decide."""

    exit_code = EXIT_UNKNOWN


class DamageError(AegisError):
    """Stored bytes are not what was stored: cut, changed, forged, or sealed with another key."""


class UnavailableError(AegisError):
    """Something outside did not answer or refused; trying again later can help."""


class DocumentsError(AegisError):
    """The documents have problems; all of them are carried, in the order of the files."""

    def __init__(self, problems: list[AegisError]) -> None:
        count = len(problems)
        super().__init__(
            "documents-invalid",
            "the documents have problems",
            f"{count} problem{'s' if count != 1 else ''} found",
        )
        self.problems = problems


@dataclass(frozen=True)
class Finding:
    """Something worth a person's eye. `severity` is error (blocks plan), breach (exit 3), warning or note."""

    severity: str
    code: str
    summary: str
    detail: str = ""
    hint: str = ""
    subject: str = ""
    position: Position | None = field(default=None)
