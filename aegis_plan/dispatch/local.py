"""Carries attempts to sites of this host: one long-lived worker a site, over a pipe.

It decides nothing and sends nothing twice. What it does not know it calls unknown.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aegis_plan.dispatch.contract import Attempt, Outcome, Progress, Trouble, Verdict
from aegis_plan.dispatch.pipe import Pipe
from aegis_plan.errors import UnavailableError

SILENCE_SECONDS = 30.0
START_SECONDS = 60.0
"""A worker that is starting may be silent this long: a busy host loads programs slowly."""
ASK_SECONDS = 0.5
"""Between two questions about a key that another process holds."""


class _Key:
    """What is known of one key."""

    def __init__(self, key: str, site: str, *, attached: bool = False) -> None:
        self.site = site
        self.attached = attached
        """Handed over in an earlier life: nobody here can say that it was never begun."""
        self.state: Progress | Outcome = Progress(key=key, phase="sent")
        self.changed = True
        self.final = False
        """An outcome that the site itself gave: nothing replaces it."""
        self.pipe: Pipe | None = None
        self.ask_at: float | None = None
        """When the ledger is asked next; None where the worker tells by itself."""


class LocalDispatcher:
    """`sites`: the command of each site's worker. `silence`: seconds without an answer after which a worker counts as
    frozen."""

    def __init__(
        self,
        sites: Mapping[str, Sequence[str]],
        *,
        silence: float = SILENCE_SECONDS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._sites = {name: list(command) for name, command in sites.items()}
        self._silence = silence
        self._environment = environment
        self._changed = threading.Condition(threading.RLock())
        self._keys: dict[str, _Key] = {}
        self._pipes: dict[str, Pipe] = {}
        self._replies: dict[int, dict[str, Any] | None] = {}
        self._asked: dict[int, tuple[Pipe, str]] = {}
        self._numbers = itertools.count(1)
        self._closed = False
        self._monitor: threading.Thread | None = None

    def ledger(self, site: str) -> str:
        """Raises UnavailableError `site-unreachable`."""
        reply = self._request(site, {"do": "ledger"})
        if "ledger" not in reply:
            raise _unreachable(site, _told(reply.get("trouble")) or "it gave no ledger")
        return str(reply["ledger"])

    def submit(self, attempt: Attempt) -> None:
        with self._changed:
            if attempt.key in self._keys:
                return
            known = self._keys[attempt.key] = _Key(attempt.key, attempt.site)
            try:
                pipe = self._pipe(attempt.site)
                if self._silent(pipe):
                    raise _unreachable(attempt.site, "its worker does not answer")
            except UnavailableError as error:
                self._set(attempt.key, _outcome(attempt.key, "not_started", error.code, error.summary, error.detail))
                known.final = True
                return
            known.pipe = pipe
            self._send(pipe, {"do": "submit", "attempt": attempt.model_dump(mode="json")}, attempt.key)

    def attach(self, attempt: Attempt) -> None:
        with self._changed:
            known = self._keys.get(attempt.key)
            if known is None or (isinstance(known.state, Outcome) and known.state.verdict == "unknown"):
                self._attach(attempt.key, attempt.site)

    def poll(self, key: str) -> Progress | Outcome:
        with self._changed:
            known = self._keys.get(key)
            if known is not None:
                known.changed = False
                return known.state
        return self._ask_all(key)

    def wait(self, keys: Iterable[str], seconds: float) -> None:
        wanted = list(keys)
        limit = time.monotonic() + seconds
        with self._changed:
            while not any((known := self._keys.get(key)) is None or known.changed for key in wanted):
                left = limit - time.monotonic()
                if left <= 0 or self._closed:
                    return
                self._changed.wait(left)

    def cancel(self, key: str, reason: str) -> None:
        with self._changed:
            known = self._keys.get(key)
            if known is not None and known.pipe is not None and not known.pipe.dead and not known.final:
                self._send(known.pipe, {"do": "cancel", "key": key, "reason": reason})

    def close(self) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            pipes = list(self._pipes.values())
            self._changed.notify_all()
        enders = [threading.Thread(target=pipe.close) for pipe in pipes]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()

    # What follows runs with the lock held, or takes it.

    def _pipe(self, site: str) -> Pipe:
        """The site's worker, started when there is none. Raises UnavailableError `site-unreachable`."""
        found = self._pipes.get(site)
        if found is not None and not found.dead:
            return found
        if self._closed:
            raise _unreachable(site, "this program is ending")
        if site not in self._sites:
            raise _unreachable(site, "it is no site of this host")
        try:
            pipe = Pipe(self._sites[site], self._environment, self._hear, self._gone)
        except OSError as error:
            raise _unreachable(site, f"its worker cannot be started: {error.strerror}") from None
        self._pipes[site] = pipe
        if self._monitor is None:
            self._monitor = threading.Thread(target=self._watch, daemon=True)
            self._monitor.start()
        return pipe

    def _silent(self, pipe: Pipe) -> bool:
        limit = self._silence if pipe.hello is not None else max(self._silence, START_SECONDS)
        asked = pipe.asked
        return asked is not None and time.monotonic() - asked > limit

    def _send(self, pipe: Pipe, message: dict[str, Any], key: str = "") -> int:
        number = next(self._numbers)
        if key:
            self._asked[number] = (pipe, key)
        pipe.send({**message, "id": number}, key if message["do"] == "submit" else "")
        return number

    def _attach(self, key: str, site: str) -> None:
        known = self._keys[key] = _Key(key, site, attached=True)
        try:
            known.pipe = self._pipe(site)
        except UnavailableError as error:
            # It may have been begun in an earlier life, and nobody can be asked.
            self._set(key, _outcome(key, "unknown", error.code, error.summary, error.detail))
            return
        self._send(known.pipe, {"do": "attach", "key": key}, key)

    def _set(self, key: str, state: Progress | Outcome) -> None:
        known = self._keys[key]
        if known.final:
            return
        known.state, known.changed = state, True
        self._changed.notify_all()

    def _hear(self, pipe: Pipe, message: dict[str, Any]) -> None:
        with self._changed:
            event = message.get("event")
            if event == "hello":
                pipe.hello = message
            elif event == "refused":
                pipe.refused = message.get("trouble")
            elif event == "outcome":
                self._settled(Outcome.model_validate(message["outcome"]))
            elif event in ("progress", "elsewhere"):
                self._progress(Progress.model_validate(message["progress"]), elsewhere=event == "elsewhere")
            elif isinstance(message.get("id"), int):
                self._replied(message["id"], message)

    def _settled(self, outcome: Outcome) -> None:
        if outcome.key in self._keys:
            self._set(outcome.key, outcome)
            self._keys[outcome.key].final = True
            self._keys[outcome.key].ask_at = None

    def _progress(self, progress: Progress, *, elsewhere: bool) -> None:
        known = self._keys.get(progress.key)
        if known is not None:
            self._set(progress.key, progress)
            known.ask_at = time.monotonic() + ASK_SECONDS if elsewhere else None

    def _replied(self, number: int, message: dict[str, Any]) -> None:
        _, key = self._asked.pop(number, (None, ""))
        if number in self._replies:
            self._replies[number] = message
            self._changed.notify_all()
        if key not in self._keys:
            return
        if "trouble" in message:
            trouble = Trouble.model_validate(message["trouble"])
            # A request that was not taken began nothing; a question that was not answered leaves everything open.
            verdict: Verdict = "unknown" if self._keys[key].attached else "not_started"
            self._set(key, Outcome(key=key, verdict=verdict, trouble=trouble))
            self._keys[key].final = True
        elif "state" in message:
            if "outcome" in message["state"]:
                self._settled(Outcome.model_validate(message["state"]["outcome"]))
            else:
                self._progress(Progress.model_validate(message["state"]["progress"]), elsewhere=True)

    def _gone(self, pipe: Pipe) -> None:
        """A worker ended: what it had is unknown, unless it never had it."""
        with self._changed:
            if pipe.hello is None:
                code, summary = "site-unreachable", "the site cannot be reached"
                detail = _told(pipe.refused) or f"its worker ended at once with code {pipe.process.returncode}"
            else:
                code, summary = "worker-lost", "the site's worker ended before the attempt was settled"
                detail = f"process {pipe.process.pid} ended with code {pipe.process.returncode}"
            for key, known in self._keys.items():
                if known.pipe is not pipe or known.final:
                    continue
                never = pipe.hello is None or key in pipe.unwritten
                verdict: Verdict = "not_started" if never and not known.attached else "unknown"
                self._set(key, _outcome(key, verdict, code, summary, detail))
                known.final, known.ask_at = True, None
            for number, (asked, _) in list(self._asked.items()):
                if asked is pipe:
                    del self._asked[number]
                    if number in self._replies:
                        self._replies[number] = {"trouble": {"code": code, "summary": summary, "detail": detail}}
            self._changed.notify_all()

    def _request(self, site: str, message: dict[str, Any]) -> dict[str, Any]:
        """Asks and waits for the answer. Raises UnavailableError `site-unreachable`."""
        with self._changed:
            pipe = self._pipe(site)
            number = next(self._numbers)
            self._replies[number] = None
            self._asked[number] = (pipe, "")
            pipe.send({**message, "id": number})
            try:
                while (reply := self._replies[number]) is None:
                    if self._silent(pipe) or self._closed:
                        raise _unreachable(site, "its worker does not answer")
                    self._changed.wait(0.1)
                return reply
            finally:
                del self._replies[number]

    def _ask_all(self, key: str) -> Progress | Outcome:
        """A key that this life never carried: whichever site claimed it answers."""
        answers: list[Progress | Outcome] = []
        for site in self._sites:
            try:
                state = self._request(site, {"do": "poll", "key": key}).get("state")
            except UnavailableError as error:
                answers.append(_outcome(key, "unknown", error.code, error.summary, error.detail))
                continue
            if not isinstance(state, dict):
                answers.append(_outcome(key, "unknown", "site-unreachable", "the site cannot be reached", site))
            elif "outcome" in state:
                answers.append(Outcome.model_validate(state["outcome"]))
            else:
                answers.append(Progress.model_validate(state["progress"]))
        began = [answer for answer in answers if isinstance(answer, Progress) or answer.verdict != "not_started"]
        # A word that is sure comes before one that is not.
        began.sort(key=lambda answer: isinstance(answer, Outcome) and answer.verdict == "unknown")
        return next(iter(began or answers), Outcome(key=key, verdict="not_started"))

    def _watch(self) -> None:
        """Asks workers that have something whether they are there, and the ledger about keys held elsewhere."""
        tick = min(1.0, self._silence / 4)
        while True:
            with self._changed:
                self._changed.wait(tick)
                if self._closed:
                    return
                now = time.monotonic()
                for pipe in [pipe for pipe in self._pipes.values() if not pipe.dead]:
                    mine = {key: known for key, known in self._keys.items() if known.pipe is pipe and not known.final}
                    if not mine:
                        continue
                    if self._silent(pipe):
                        self._call_unknown(mine)
                    elif pipe.asked is None and now - pipe.heard > self._silence / 3:
                        pipe.send({"do": "ping"})
                    for key, known in mine.items():
                        if known.ask_at is not None and now >= known.ask_at:
                            known.ask_at = now + max(ASK_SECONDS, self._silence)
                            self._send(pipe, {"do": "attach", "key": key}, key)

    def _call_unknown(self, keys: Mapping[str, _Key]) -> None:
        for key, known in keys.items():
            if isinstance(known.state, Progress):
                detail = f"no answer from {known.site} for {self._silence:g} s"
                self._set(key, _outcome(key, "unknown", "site-silent", "the site fell silent", detail))


def _outcome(key: str, verdict: Verdict, code: str, summary: str, detail: str) -> Outcome:
    return Outcome(key=key, verdict=verdict, trouble=Trouble(code=code, summary=summary, detail=detail))


def _told(trouble: Any) -> str:
    if not isinstance(trouble, dict):
        return ""
    return ": ".join(str(trouble[part]) for part in ("summary", "detail") if trouble.get(part))


def _unreachable(site: str, reason: str) -> UnavailableError:
    return UnavailableError(
        "site-unreachable",
        "the site cannot be reached",
        f"{site}: {reason}",
        "see that its site file is right and its programs can run",
    )
