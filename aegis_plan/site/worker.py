"""The worker of a site: JSON lines in, JSON lines out, several attempts at once.

Standard output carries the protocol and nothing else. It ends with its input, after it asked running attempts to stop.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from aegis_plan.clock import SystemClock
from aegis_plan.dispatch.contract import CONTRACT_VERSION, Attempt, Outcome, Progress
from aegis_plan.errors import AegisError
from aegis_plan.site import sitefile
from aegis_plan.site.context import Stop
from aegis_plan.site.runner import Runner, folder_error, trouble
from aegis_plan.site.secrets import Resolver

SETTLE_SECONDS = 30.0
"""How long running attempts may take to stop at the end."""


class _Ended(Exception):
    """Told to end while waiting for a request."""


class Worker:
    """Answers the requests of one coordinator."""

    def __init__(self, runner: Runner, out: BinaryIO) -> None:
        self.runner, self.out = runner, out
        self._write = threading.Lock()
        self._guard = threading.Lock()
        self._running: dict[str, tuple[Stop, threading.Thread]] = {}
        self._idle = self._told = self._deaf = False

    def serve(self, lines: BinaryIO) -> None:
        """Until the input ends, a `bye`, or SIGTERM."""
        # A handler that does nothing, where ignoring would be passed on to programs that are started here.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        self.say({"event": "hello", "site": self.runner.file.site, "contract": CONTRACT_VERSION, "pid": os.getpid()})
        try:
            while True:
                self._idle = True
                if self._told:
                    break
                line = lines.readline()
                self._idle = False
                if not line or not self._request(line):
                    break
        except _Ended:
            pass
        self._idle = False
        self._settle()

    def say(self, message: dict[str, Any]) -> None:
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._write:
            if self._deaf:
                return
            try:
                self.out.write(data)
                self.out.flush()
            except OSError:
                self._deaf = True  # nobody listens any more; the ledger keeps what is settled

    def _end(self, _number: int, _frame: object) -> None:
        self._told = True
        if self._idle:
            raise _Ended

    def _request(self, line: bytes) -> bool:
        try:
            request = json.loads(line)
            do, number = request["do"], request.get("id")
        except (ValueError, KeyError, TypeError, AttributeError):
            self.say({"event": "refused", "trouble": {"code": "request-invalid", "summary": "not a request"}})
            return True
        if do == "bye":
            return False
        try:
            self.say({"id": number, **self._answer(do, request)})
        except AegisError as error:
            self.say({"id": number, "trouble": trouble(error).model_dump()})
        except OSError as error:
            self.say({"id": number, "trouble": trouble(folder_error(self.runner.file, error)).model_dump()})
        except (ValidationError, KeyError, TypeError):
            known = {"code": "request-invalid", "summary": "a request makes no sense", "detail": str(do)}
            self.say({"id": number, "trouble": known})
        return True

    def _answer(self, do: str, request: dict[str, Any]) -> dict[str, Any]:
        if do == "submit":
            self._submit(Attempt.model_validate(request["attempt"]))
            return {}
        if do in ("poll", "attach"):
            key = str(request["key"])
            with self._guard:
                if key in self._running:
                    return {"state": {"progress": Progress(key=key, phase="running").model_dump(mode="json")}}
            return {"state": _form(self.runner.state(key))}
        if do == "cancel":
            with self._guard:
                found = self._running.get(str(request["key"]))
            if found is not None:
                found[0].ask(str(request.get("reason") or "cancelled"))
            return {"running": found is not None}
        if do == "ledger":
            return {"ledger": self.runner.ledger().id}
        if do == "ping":
            return {}
        raise KeyError(do)

    def _submit(self, attempt: Attempt) -> None:
        stop = Stop(self.runner.clock)
        thread = threading.Thread(target=self._carry, args=(attempt, stop), name=attempt.key, daemon=True)
        with self._guard:
            if attempt.key in self._running:
                return
            self._running[attempt.key] = (stop, thread)
        thread.start()

    def _carry(self, attempt: Attempt, stop: Stop) -> None:
        try:
            state = self.runner.run(
                attempt, stop, lambda told: self.say({"event": "progress", "progress": told.model_dump(mode="json")})
            )
        finally:
            with self._guard:
                del self._running[attempt.key]
        if isinstance(state, Outcome):
            self.say({"event": "outcome", "outcome": state.model_dump(mode="json")})
        else:
            self.say({"event": "elsewhere", "progress": state.model_dump(mode="json")})

    def _settle(self) -> None:
        with self._guard:
            running = list(self._running.values())
        for stop, _ in running:
            stop.ask("the coordinator went away")
        limit = self.runner.clock.monotonic() + SETTLE_SECONDS
        for _, thread in running:
            thread.join(max(0.0, limit - self.runner.clock.monotonic()))
        if any(thread.is_alive() for _, thread in running):
            os._exit(1)  # what did not stop stays unsettled, which is the truth


def _form(state: Outcome | Progress) -> dict[str, Any]:
    kind = "outcome" if isinstance(state, Outcome) else "progress"
    return {kind: state.model_dump(mode="json")}


def work(path: Path) -> int:
    """Serves standard input and output for the site of a site file; the exit code."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever else is printed must not break the protocol
    try:
        file = sitefile.load(path)
    except AegisError as error:
        out.write(json.dumps({"event": "refused", "trouble": trouble(error).model_dump()}).encode() + b"\n")
        return error.exit_code
    runner = Runner(file, SystemClock(), Resolver(os.environ, file.path.parent))
    Worker(runner, out).serve(sys.stdin.buffer)
    runner.close()
    return 0
