"""What an action gets to reach: marks in the ledger, progress, secrets, keys, repositories and programs.

Everything dear is made when first used; a look never makes the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from aegis_plan.actions.contract import Secrets, SiteKeys, StopAsked
from aegis_plan.clock import Clock
from aegis_plan.dispatch.contract import Attempt, Mark, Note, Progress
from aegis_plan.documents.model import Documents
from aegis_plan.documents.model import Repository as Declared
from aegis_plan.errors import AegisError
from aegis_plan.repositories.contract import Repository
from aegis_plan.site.ledger import Ledger, Started
from aegis_plan.site.process import SiteChildren
from aegis_plan.site.secrets import Resolver
from aegis_plan.site.sitefile import SiteFile, identity_at, keys

TELL_SECONDS = 0.25
"""Progress is passed on at most this often."""


class Stop:
    """Whether an attempt was asked to stop, by whom, and when its time is up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = threading.Event()
        self.reason = ""
        self.deadline = float("inf")

    def ask(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.asked.set()

    @property
    def late(self) -> bool:
        return self._clock.monotonic() >= self.deadline

    def __bool__(self) -> bool:
        return self.asked.is_set() or self.late


class Opened:
    """Repositories of one site process, each opened once for the same declaration."""

    def __init__(self, secrets: Resolver, folder: Path | None = None) -> None:
        """`folder` is the site's."""
        self._secrets, self._folder = secrets, folder
        self._lock = threading.Lock()
        self._open: dict[tuple[str, Declared], Repository] = {}

    def get(self, name: str, declared: Declared) -> Repository:
        from aegis_plan.repositories.build import build

        with self._lock:
            found = self._open.get((name, declared))
            if found is None:
                found = self._open[name, declared] = build(name, declared, self._secrets.text, self._folder)
            return found

    def close(self) -> None:
        with self._lock:
            for repository in self._open.values():
                repository.close()
            self._open.clear()


class _ByName(Mapping[str, Repository]):
    def __init__(self, declared: Documents, opened: Opened) -> None:
        self._declared, self._opened = declared.repositories, opened

    def __getitem__(self, name: str) -> Repository:
        return self._opened.get(name, self._declared[name])

    def __contains__(self, name: object) -> bool:
        # The mapping's own asks for the repository, and one whose secrets are unknown here raised what nobody expected.
        return name in self._declared

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)


class SiteContext:
    """The context of one attempt."""

    declared: Documents
    keys: SiteKeys
    repositories: Mapping[str, Repository]

    def __init__(
        self,
        attempt: Attempt,
        file: SiteFile,
        clock: Clock,
        secrets: Resolver,
        opened: Opened,
        stop: Stop,
        tell: Callable[[Progress], None],
        ledger: Ledger | None = None,
        lock: int | None = None,
        earlier: Sequence[Mark] = (),
    ) -> None:
        """`earlier` is what the ledger has of this step: it also knows of attempts whose outcome never got back."""
        self.attempt = attempt
        self._earlier = tuple(earlier) or attempt.earlier.marks
        self.clock = clock
        self.secrets: Secrets = secrets
        self.folder: Path = file.folder
        self.findings: list[Note] = []
        self.own_marks: list[Mark] = []
        self._file = file
        self._resolver = secrets
        self._opened = opened
        self._stop = stop
        self._tell = tell
        self._ledger = ledger
        self._begun = clock.monotonic()
        self._told = (float("-inf"), "")
        record = None if ledger is None else self._record
        self._children = SiteChildren(lambda: bool(stop), record, lock)

    def __getattr__(self, name: str) -> Any:
        # Only reached for what is not there yet. Most steps need none of these, and checking documents costs more
        # than all else that carries a small step.
        value: Any
        if name == "declared":
            value = _documents(self.attempt)
        elif name == "keys":
            value = keys(self._file, self._resolver)
        elif name == "repositories":
            value = _ByName(self.declared, self._opened)
        else:
            raise AttributeError(name)
        setattr(self, name, value)
        return value

    @property
    def marks(self) -> Sequence[Mark]:
        return (*self._earlier, *self.own_marks)

    def more_identities(self, reference: str) -> Sequence[str]:
        return identity_at(self._file, reference, self._resolver) if reference else ()

    def check(self) -> None:
        if self._stop:
            raise StopAsked(self._stop.reason)

    @property
    def stopping(self) -> bool:
        return bool(self._stop)

    def progress(self, phase: str, done: int = 0, total: int | None = None, unit: str = "B") -> None:
        now = self.clock.monotonic()
        last, was = self._told
        if now - last < TELL_SECONDS and phase == was:
            return
        self._told = (now, phase)
        elapsed = now - self._begun
        self._tell(Progress(key=self.attempt.key, phase=phase, done=done, total=total, unit=unit, elapsed=elapsed))

    def mark(self, name: str, **data: Any) -> None:
        if self._ledger is None:
            raise AssertionError(f"a {self.attempt.verb} makes no marks")
        mark = Mark(name=name, data=data, at=self.clock.now())
        self._ledger.mark(self.attempt.key, len(self.own_marks), mark)
        self.own_marks.append(mark)

    def find(
        self,
        severity: Literal["error", "breach", "warning", "note"],
        code: str,
        summary: str,
        detail: str = "",
        hint: str = "",
    ) -> None:
        self.findings.append(Note(severity=severity, code=code, summary=summary, detail=detail, hint=hint))

    def children(self) -> SiteChildren:
        return self._children

    def _record(self, pid: int, start: str) -> None:
        assert self._ledger is not None
        self._ledger.child(Started(self.attempt.key, pid, start, pid))


def _documents(attempt: Attempt) -> Documents:
    from pydantic import ValidationError

    try:
        return Documents.model_validate(attempt.declared)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise AegisError(
            "declared-invalid",
            "the documents of an attempt cannot be read at this site",
            f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
            "see that the same version runs here and where the plan was applied",
        ) from None
