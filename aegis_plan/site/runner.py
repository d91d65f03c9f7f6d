"""The one road to an effect: every refusal in its order, the lock, the claim, the action, the settled outcome.

It never decides what comes next and never tries again.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pydantic import ValidationError

from aegis_plan.actions.contract import Action, Done, StopAsked
from aegis_plan.actions.registry import find
from aegis_plan.clock import Clock, stamp
from aegis_plan.dispatch.contract import CONTRACT_VERSION, Attempt, Mark, Note, Outcome, Progress, Trouble, Verdict
from aegis_plan.errors import AegisError
from aegis_plan.site import lock
from aegis_plan.site.alive import alive, group, started
from aegis_plan.site.context import Opened, SiteContext, Stop
from aegis_plan.site.ledger import FILE, Claim, EpochOldError, Ledger
from aegis_plan.site.process import GRACE_SECONDS, kill_group
from aegis_plan.site.secrets import Resolver
from aegis_plan.site.sitefile import SiteFile

_EFFECTS = ("act", "undo")
State = Outcome | Progress


class Runner:
    """Carries out attempts of one site in this process; safe for several threads."""

    def __init__(self, file: SiteFile, clock: Clock, secrets: Resolver) -> None:
        self.file, self.clock, self.secrets = file, clock, secrets
        self.opened = Opened(secrets, file.folder)
        self._guard = threading.Lock()
        self._ledger: Ledger | None = None
        self._me = (os.getpid(), started(os.getpid()) or "")

    def ledger(self) -> Ledger:
        """The site's ledger, made when there is none. Raises what opening it raises."""
        with self._guard:
            if self._ledger is None:
                self._ledger = Ledger(self.file.folder, self.clock.now())
            return self._ledger

    def run(self, attempt: Attempt, stop: Stop, tell: Callable[[Progress], None]) -> State:
        """Carries an attempt to its end. A Progress says that its key is held by another process of this site."""
        try:
            if (refused := self._refused(attempt)) is not None:
                return refused
            if attempt.verb not in _EFFECTS:
                return self._carry_out(attempt, stop, tell)
            return self._effect(attempt, stop, tell)
        except AegisError as error:
            return self._end(attempt, "not_started", error)
        except OSError as error:
            return self._end(attempt, "not_started", folder_error(self.file, error))
        except Exception as error:  # noqa: BLE001 - a bug here must not leave the coordinator waiting for ever
            told = Outcome(key=attempt.key, verdict="not_started", trouble=self._crash(attempt, error))
            return Outcome.model_validate(self.redacted(told.model_dump(mode="json")))

    def state(self, key: str) -> State:
        """What the ledger knows of a key; makes none."""
        if self._ledger is None and not (self.file.folder / FILE).exists():
            return Outcome(key=key, verdict="not_started")
        ledger = self.ledger()
        claim = ledger.find(key)
        if claim is None:
            return Outcome(key=key, verdict="not_started", ledger=ledger.id)
        return self._known(claim)

    def close(self) -> None:
        self.opened.close()
        if self._ledger is not None:
            self._ledger.close()

    def _refused(self, attempt: Attempt) -> Outcome | None:
        if attempt.contract_version != CONTRACT_VERSION:
            return self._end(attempt, "not_started", AegisError(
                "contract-version", "the site speaks another version of the step contract",
                f"sent version {attempt.contract_version}, this site has {CONTRACT_VERSION}",
                "bring both sides to the same version",
            ))  # fmt: skip
        if attempt.site != self.file.site:
            return self._end(attempt, "not_started", AegisError(
                "wrong-site", "an attempt came to another site than it was meant for",
                f"meant for {attempt.site}, this is {self.file.site}", "correct sites.<name>.file in the documents",
            ))  # fmt: skip
        return None

    def _effect(self, attempt: Attempt, stop: Stop, tell: Callable[[Progress], None]) -> State:
        ledger = self.ledger()
        if (known := ledger.find(attempt.key)) is not None:
            return self._known(known)
        began = False
        try:
            self._in_time(attempt)
            ledger.check_epoch(attempt)
            with self._locked(attempt.resource) as held:
                # The lock may have been waited for.
                self._in_time(attempt)
                claimed = ledger.claim(attempt, *self._me, self.clock.now())
                if claimed is not None:
                    return self._known(claimed)
                began = True
                outcome = self._carry_out(attempt, stop, tell, ledger, held)
                return self._settled(attempt, outcome, ledger)
        except EpochOldError as error:
            return self._end(attempt, "failed", error)
        except Exception as error:
            if not began:
                raise
            # From the claim on it may have taken effect: nothing that goes wrong can make it "not started".
            told = trouble(error) if isinstance(error, AegisError) else self._crash(attempt, error)
            return Outcome(key=attempt.key, verdict="unknown", trouble=told, ledger=ledger.id)

    def _in_time(self, attempt: Attempt) -> None:
        now = self.clock.now()
        if now > attempt.start_by:
            raise AegisError(
                "start-too-late",
                "the attempt came too late to begin",
                f"it had to begin by {stamp(attempt.start_by)} and it is {stamp(now)}",
                "resume the run; nothing was begun",
            )

    def _settled(self, attempt: Attempt, outcome: Outcome, ledger: Ledger) -> Outcome:
        """The outcome once it is in the ledger. One that cannot be written down is told all the same, since it is
        what happened: only a coordinator that dies before it hears of it will find it unknown."""
        try:
            ledger.settle(attempt.key, outcome.model_dump_json(), self.clock.now())
        except AegisError as error:
            told = Note(severity="warning", **trouble(error).model_dump())
            return outcome.model_copy(update={"findings": (*outcome.findings, told)})
        return outcome

    def _carry_out(
        self,
        attempt: Attempt,
        stop: Stop,
        tell: Callable[[Progress], None],
        ledger: Ledger | None = None,
        held: int | None = None,
    ) -> Outcome:
        begun = self.clock.now()
        stop.deadline = self.clock.monotonic() + attempt.timeout
        context = SiteContext(
            attempt, self.file, self.clock, self.secrets, self.opened, stop, tell, ledger, held, self._marks(attempt)
        )  # fmt: skip
        result: dict[str, Any]
        try:
            action = find(attempt.action, lambda: context.declared, attempt.params)
            result = self._verb(action, context)
        except AegisError as error:
            result = {"verdict": "failed", "trouble": trouble(error)}
        except StopAsked:
            result = _stopped(attempt, stop)
        except Exception as error:  # noqa: BLE001 - a bug in an action is its failure and must not end the site
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                result = {"verdict": "failed", "trouble": trouble(_disk_full(error))}
            else:
                result = {"verdict": "failed", "trouble": self._crash(attempt, error)}
        finally:
            context.children().end()
        outcome = Outcome(
            key=attempt.key,
            findings=tuple(context.findings),
            marks=tuple(context.own_marks),
            begun=begun,
            ended=self.clock.now(),
            ledger=ledger.id if ledger is not None else "",
            **result,
        )
        return Outcome.model_validate(self.redacted(outcome.model_dump(mode="json")))

    def _marks(self, attempt: Attempt) -> tuple[Mark, ...]:
        if attempt.verb == "look" or (self._ledger is None and not (self.file.folder / FILE).exists()):
            return ()
        return self.ledger().marks_of_step(attempt.run, attempt.step)

    def _verb(self, action: Action, context: SiteContext) -> dict[str, Any]:
        attempt = context.attempt
        if attempt.verb == "probe":
            probed = action.probe(context)
            outputs = {**probed.outputs, "reason": probed.reason} if probed.reason else probed.outputs
            return {"verdict": "done", "answer": probed.answer, "outputs": outputs}
        if attempt.verb == "look" and not attempt.action.startswith("look-"):
            raise AegisError("not-a-look", "this kind of step does more than look", attempt.action)
        done: Done = action.undo(context) if attempt.verb == "undo" else action.act(context)
        return {"verdict": "done", "outputs": done.outputs}

    def _known(self, claim: Claim) -> State:
        ledger = self.ledger()
        if claim.outcome is not None:
            try:
                return Outcome.model_validate_json(claim.outcome)
            except ValidationError:
                return self._unreadable(claim)
        now = self.clock.now()
        elapsed = max(0.0, (now - claim.begun).total_seconds())
        if alive(claim.pid, claim.start):
            return Progress(key=claim.key, phase="running", elapsed=elapsed)
        # Its worker is gone; what it started may still act, but is not waited for longer than the attempt had.
        if now <= claim.until and any(alive(child.pid, child.start) for child in ledger.children(claim.key)):
            return Progress(key=claim.key, phase="left behind", elapsed=elapsed)
        return Outcome(
            key=claim.key,
            verdict="unknown",
            marks=ledger.marks(claim.key),
            begun=claim.begun,
            ledger=ledger.id,
            trouble=Trouble(
                code="worker-lost",
                summary="the site's worker ended before the attempt was settled",
                detail=f"{claim.key} was begun at {stamp(claim.begun)} by process {claim.pid}, which is gone",
                hint="the step is probed; what cannot be seen is put to a person",
            ),
        )

    def _unreadable(self, claim: Claim) -> Outcome:
        told = Trouble(
            code="ledger-unusable",
            summary="the site's ledger cannot be used",
            detail=f"what it says of the end of {claim.key} cannot be read",
            hint="the step is probed; what cannot be seen is put to a person",
        )
        return Outcome(key=claim.key, verdict="unknown", begun=claim.begun, ledger=self.ledger().id, trouble=told)

    @contextmanager
    def _locked(self, resource: str) -> Iterator[int | None]:
        if not resource:
            yield None
            return
        held = lock.take(self.file.folder, resource) or self._take_over(resource)
        try:
            yield held.fd
        finally:
            held.release()

    def _take_over(self, resource: str) -> lock.ResourceLock:
        """The lock from orphans of a dead worker, which are ended. Raises AegisError `resource-busy`."""
        ledger, file = self.ledger(), lock.path(self.file.folder, resource)
        holders = ledger.unsettled(resource)
        for claim in holders:
            if alive(claim.pid, claim.start):
                raise _busy(resource, f"{claim.key} has it since {stamp(claim.begun)}")
        for claim in holders:
            for child in ledger.children(claim.key):
                left = [child.pid] if alive(child.pid, child.start) else group(child.pgid, file)
                if left:
                    self._end_orphans(child.pgid, file if left != [child.pid] else None)
        for _ in range(20):
            if (held := lock.take(self.file.folder, resource)) is not None:
                return held
            self.clock.sleep(0.05)
        raise _busy(resource, "a program holds it that no attempt at this site wrote down")

    def _end_orphans(self, pgid: int, file: Any) -> None:
        kill_group(pgid, signal.SIGTERM)
        limit = self.clock.monotonic() + GRACE_SECONDS
        while self.clock.monotonic() < limit and group(pgid, file):
            self.clock.sleep(0.05)
        kill_group(pgid, signal.SIGKILL)

    def _end(self, attempt: Attempt, verdict: Verdict, error: AegisError) -> Outcome:
        known = self._ledger.id if self._ledger is not None else ""
        outcome = Outcome(key=attempt.key, verdict=verdict, trouble=trouble(error), ledger=known)
        return Outcome.model_validate(self.redacted(outcome.model_dump(mode="json")))

    def _crash(self, attempt: Attempt, error: Exception) -> Trouble:
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "?"
        if attempt.verb in _EFFECTS:
            self.log(f"{attempt.key} crashed\n{''.join(traceback.format_exception(error))}")
        return Trouble(
            code="action-crashed",
            summary="an action ended with an error that it did not expect",
            detail=f"{type(error).__name__} in {attempt.action} at {place}",
            hint=f"this is a bug; the whole trace is in {self.file.folder / 'site.log'} at the site",
        )

    def log(self, text: str) -> None:
        """Appends to the site's own log file, without secrets."""
        # Without room for a log the attempt still has its outcome.
        with suppress(OSError), (self.file.folder / "site.log").open("a", encoding="utf-8") as stream:
            stream.write(f"{stamp(self.clock.now())} {self.secrets.redact(text).rstrip()}\n")

    def redacted(self, value: Any) -> Any:
        """JSON data without the secrets that this process has given out."""
        if isinstance(value, str):
            return self.secrets.redact(value)
        if isinstance(value, dict):
            return {key: self.redacted(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.redacted(entry) for entry in value]
        return value


_CREDENTIALS = re.compile(r"(?i)(://[^\s/@:]*:)[^\s/@]+(@)|(password\s*=\s*)('[^']*'|\S+)")


def _bare(text: str) -> str:
    return _CREDENTIALS.sub(lambda m: f"{m[1]}***{m[2]}" if m[1] else f"{m[3]}***", text)


def trouble(error: AegisError) -> Trouble:
    """An error as it travels."""
    return Trouble(code=error.code, summary=error.summary, detail=_bare(error.detail), hint=error.hint)


def _disk_full(error: OSError) -> AegisError:
    return AegisError(
        "disk-full",
        "a disk of the site filled up while the step worked",
        f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror),
        "make room, then try again",
    )


def folder_error(file: SiteFile, error: OSError) -> AegisError:
    return AegisError(
        "site-folder-unusable",
        "the folder of the site cannot be used",
        f"{error.filename or file.folder}: {error.strerror}",
        "see that it is there, has room and belongs to the user that runs the site",
    )


def _stopped(attempt: Attempt, stop: Stop) -> dict[str, Any]:
    if stop.asked.is_set():
        why = Trouble(code="stop-asked", summary="the attempt was asked to stop", detail=stop.reason)
        return {"verdict": "cancelled", "trouble": why}
    return {"verdict": "failed", "trouble": Trouble(
        code="attempt-timed-out", summary="the attempt took longer than it may",
        detail=f"{attempt.step} was stopped after {attempt.timeout:g} s", hint="give the step a longer timeout",
    )}  # fmt: skip


def _busy(resource: str, who: str) -> AegisError:
    return AegisError(
        "resource-busy",
        "another attempt is at work on this resource",
        f"{resource}: {who}",
        "wait for it, or cancel that run",
    )
