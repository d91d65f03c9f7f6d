"""What every action implements at a site: probe, act and undo, each with a context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from aegis_plan.clock import Clock
from aegis_plan.dispatch.contract import Attempt, Mark, Note
from aegis_plan.documents.model import Documents
from aegis_plan.repositories.contract import Repository


class StopAsked(Exception):
    """Raised by `Context.check` when the attempt was asked to stop or its time is up; the action cleans up and lets
    it through."""


class Secrets(Protocol):
    """Resolves references at the site that uses them; what it returned is hidden in everything that leaves."""

    def text(self, value: str) -> str:
        """`value` with every `${env:..}`, `${file:..}` and `${command:..}` in it replaced.

        Raises AegisError `secret-unresolved`, which names the reference and never a value."""


@dataclass(frozen=True)
class SiteKeys:
    """The private keys of this site; whatever is missing is None or empty."""

    signing: bytes | None
    """32 bytes, Ed25519."""
    identities: tuple[str, ...] = ()
    """age secret keys, for reading sealed data."""


class Context(Protocol):
    """All that an action may reach besides its parameters."""

    attempt: Attempt
    declared: Documents
    clock: Clock
    secrets: Secrets
    keys: SiteKeys
    folder: Path
    """The site's own folder; scratch space of an action is below `folder / "work" / run`."""
    repositories: Mapping[str, Repository]
    """By name, built when first asked for from `declared`."""

    @property
    def marks(self) -> Sequence[Mark]:
        """Marks of this and earlier attempts of the step, in order."""

    def more_identities(self, reference: str) -> Sequence[str]:
        """The age secret keys that a reference names besides those of the site; none for an empty one.

        Raises AegisError `secret-unresolved`, `key-exposed`, `key-invalid`."""

    def check(self) -> None:
        """Raises StopAsked when the attempt was told to stop or its deadline passed. Call it often."""

    @property
    def stopping(self) -> bool:
        """Whether `check` would raise."""

    def progress(self, phase: str, done: int = 0, total: int | None = None, unit: str = "B") -> None:
        """Tells how far it is; cheap enough to call for every part."""

    def mark(self, name: str, **data: Any) -> None:
        """Writes something down durably (fsynced) before returning."""

    def find(
        self,
        severity: Literal["error", "breach", "warning", "note"],
        code: str,
        summary: str,
        detail: str = "",
        hint: str = "",
    ) -> None:
        """Adds a finding to the outcome."""

    def children(self) -> Children:
        """Where external programs are started, so that a stop reaches them and an orphan still holds the lock."""


class Children(Protocol):
    """Effect-carrying external programs of one attempt."""

    def run(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        input: bytes | None = None,
        timeout: float | None = None,
    ) -> Finished:
        """Runs a program to its end in a process group of its own; a stop kills the group."""

    def start(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
    ) -> Child:
        """Starts a program that goes on beside the action, such as a server for replay. It inherits the resource's
        lock and is written down, so that a successor can find and end it."""


@dataclass(frozen=True)
class Finished:
    """A program that ended."""

    code: int
    stdout: bytes
    stderr: bytes


class Child(Protocol):
    """A program that is still running."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""

    def signal(self, number: int) -> None:
        """Sends a signal to the program alone."""

    def wait(self, timeout: float) -> int | None:
        """Its exit code, or None when it still runs after `timeout` seconds."""

    def end(self, timeout: float = 60.0) -> int:
        """Asks it to end and, after `timeout` seconds, kills its group."""


@dataclass(frozen=True)
class Done:
    """What an action has to say when it succeeded."""

    outputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Probed:
    """Whether the step's effect is there. `needed` must be sure that acting is safe."""

    answer: Literal["satisfied", "needed", "unknown"]
    reason: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    """For `satisfied`: what `act` would have given."""


class Action(Protocol):
    """One kind of step. Raise AegisError to fail; anything else that escapes is a bug and fails with its name."""

    kind: str

    def probe(self, context: Context) -> Probed:
        """Looks whether the effect is there, changing nothing."""

    def act(self, context: Context) -> Done:
        """Makes the effect; must be right also after an earlier attempt was killed at any line, by its marks."""

    def undo(self, context: Context) -> Done:
        """Takes the effect back, however far it came. Actions declared irreversible raise."""


def work_folder(context: Context) -> Path:
    """A private folder of this run at this site, made when it is not there."""
    folder = context.folder / "work" / context.attempt.run
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def began(context: Context) -> datetime:
    """The present, for timestamps in what an action writes."""
    return context.clock.now()


__all__ = [
    "Action",
    "Child",
    "Children",
    "Context",
    "Done",
    "Finished",
    "Mark",
    "Note",
    "Probed",
    "Secrets",
    "SiteKeys",
    "StopAsked",
    "began",
    "work_folder",
]
