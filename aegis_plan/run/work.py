"""The steps of one life of a run at work: sent, polled, settled, taken back. Each change goes to the journal first;
its fold is the only state that counts. It never decides by itself: `decide.py` does."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Any, cast

from aegis_plan.clock import Clock
from aegis_plan.dispatch.contract import Dispatcher, Outcome, Trouble, Verb
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.journal.contract import Book
from aegis_plan.journal.file import Draft
from aegis_plan.journal.replay import RunState, StepState, counted
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.step import Step
from aegis_plan.run.attempt import START_WITHIN, Workbench
from aegis_plan.run.decide import MISSES, Decision, Situation, decide
from aegis_plan.run.events import Event, EventKind, Tell, telling
from aegis_plan.run.flight import Flight, trusted
from aegis_plan.run.ready import Ready
from aegis_plan.run.rollback import bound, given_up, next_undos, removing, undo_order
from aegis_plan.run.skipped import met, over, skips


class Work:
    """The state machine of the steps. One thread uses it."""

    def __init__(
        self,
        plan: Plan,
        state: RunState,
        journal: Book,
        dispatcher: Dispatcher,
        clock: Clock,
        tell: Tell,
        epoch: Callable[[str], int],
        may_begin: Callable[[Step], bool],
        parallel: int,
    ) -> None:
        self.plan, self.state, self.journal = plan, state, journal
        self._dispatcher, self._clock, self._tell = dispatcher, clock, tell
        self._epoch, self._may_begin, self._parallel = epoch, may_begin, parallel
        self.steps = {step.id: step for step in plan.steps}
        self._bench, self._removers = Workbench(plan, state.run), removing(plan.steps)
        self._ledgers: dict[str, str] = {}
        self._away: dict[str, int] = {}
        self._unsent: dict[str, Verb] = {}
        self.flights: dict[str, Flight] = {}
        self._due: list[tuple[float, str]] = []
        self._judged: set[str] = set()
        self._blocked: list[str] = []
        self._order = Ready(plan.steps)
        self._fill()

    def write(self, *drafts: Draft) -> int:
        """Journals and takes in; returns the number of the last entry."""
        for entry in self.journal.append(drafts):
            self.state.apply(entry)
        return self.state.count

    def tell(self, kind: EventKind, step: str = "", **data: Any) -> None:
        """Tells whoever listens; nothing depends on it."""
        self._tell(Event(kind, self._clock.now(), step, data))

    # Resuming

    def _fill(self) -> None:
        for step in self.plan.steps:
            mine = self.state.step(step.id)
            if mine.settled or mine.failed_once:
                self._order.settle(step.id, met(step, mine))
            elif mine.following and not mine.undoing:
                heapq.heappush(self._due, (self._clock.monotonic(), step.id))

    def attach(self) -> None:
        """Takes up what an earlier life left: attempts on their way, outcomes nobody decided about, skips that were
        not written any more."""
        drafts: list[Draft] = []
        for step in self.plan.steps:
            mine = self.state.step(step.id)
            if mine.open is not None:
                sent = mine.open
                attempt = self._bench.make(
                    step, self.state, sent["verb"], sent["number"], sent["epoch"], self._clock.now()
                )
                self._dispatcher.attach(attempt)
                self.flights[step.id] = Flight(attempt, orphaned=True)
            elif mine.undecided:
                outcome = Outcome.model_validate({k: v for k, v in mine.last.items() if k != "verb"})
                counts = (mine.failures, mine.misses, mine.doubts)
                drafts += self._decide(step, mine, mine.last["verb"], outcome, counts, orphaned=True)
        self.write(*drafts)
        ended = {step.id for step in self.plan.steps if over(step, self.state.step(step.id))}
        self.write(*skips(self.plan, self.state, ended, "what it needs did not succeed"))

    # Sending

    def begin(self) -> None:
        """Sends what may begin now, as far as there is room."""
        flights: list[Flight] = []
        drafts: list[Draft] = []
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now and self._room(flights):
            _, name = heapq.heappop(self._due)
            mine = self.state.step(name)
            verb = mine.following or self._unsent.get(name, "")
            if verb and mine.state == "waiting" and not any(name in order for order in self.state.rollbacks.values()):
                self._send(name, cast(Verb, verb), flights, drafts)
        for name in self._undo_next():
            mine = self.state.step(name)
            self._send(name, cast(Verb, mine.following) if mine.undoing and mine.following else "undo", flights, drafts)
        self._blocked = []
        # Two steps on one resource would only be refused by the site's lock: the second waits here instead.
        busy = {_place(self.steps[flight.attempt.step]) for flight in (*self.flights.values(), *flights)}
        held: list[str] = []
        while self._room(flights):
            found = self._order.pop()
            if found is None:
                break
            if self.steps[found].resource and _place(self.steps[found]) in busy:
                held.append(found)
                continue
            if self.state.step(found).state != "waiting" or self.state.step(found).following:
                continue
            if not self._may_begin(self.steps[found]):
                self._blocked.append(found)
                continue
            self._send(found, "act", flights, drafts)
            busy.add(_place(self.steps[found]))
        for name in (*self._blocked, *held):
            self._order.put_back(name)
        if not drafts:
            return
        first = self.state.count
        self.write(*drafts)
        self._announce(drafts)
        numbers = {draft.data.get("key"): first + place for place, draft in enumerate(drafts, 1)}
        for flight in flights:
            step = self.steps[flight.attempt.step]
            flight.entry = numbers[flight.attempt.key]
            self.flights[step.id] = flight
            self.tell("step-begun", step.id, verb=flight.attempt.verb, number=flight.attempt.number)
            if step.destructive or not step.reversible or step.approve:
                flight.waits_since = self._clock.monotonic()
            else:
                self._submit(flight)

    def hand_over(self, limit: float, regardless: bool) -> AegisError | None:
        """Submits attempts whose journal entry reached a mirror by now. Returns why it cannot, when a mirror is later
        than `limit` seconds; `regardless` goes on without one."""
        for flight in list(self.flights.values()):
            if flight.waits_since is None:
                continue
            late = self._clock.monotonic() - flight.waits_since
            if self.journal.mirrored(flight.entry, 0.0 if len(self.flights) > 1 else 0.02):
                self._submit(flight)
            elif late > limit and regardless:
                self.tell("mirror-late", flight.attempt.step, seconds=late)
                self._submit(flight)
            elif late > limit:
                trouble = self.journal.mirror_trouble
                return UnavailableError(
                    "mirror-unreachable",
                    "the journal has no copy outside, and the next step must not go without one",
                    f"{flight.attempt.step}: {trouble.detail if trouble else 'no answer'}",
                    "see that a state repository can be reached, then resume; --break-glass goes on without",
                )
        return None

    def withdraw(self) -> None:
        """Takes back the attempts that were never submitted."""
        for name, flight in list(self.flights.items()):
            if flight.waits_since is not None:
                trouble = Trouble(code="run-stopping", summary="the run stopped before it was handed over")
                self._conclude(
                    [(name, flight, Outcome(key=flight.attempt.key, verdict="not_started", trouble=trouble))]
                )

    def cancel(self, reason: str) -> None:
        """Asks all running attempts to stop, once."""
        self.withdraw()
        for flight in self.flights.values():
            if not flight.cancelled:
                flight.cancelled = True
                self._dispatcher.cancel(flight.attempt.key, reason)

    def _room(self, flights: list[Flight]) -> bool:
        return len(self.flights) + len(flights) < self._parallel

    def _submit(self, flight: Flight) -> None:
        flight.waits_since = None
        self._dispatcher.submit(flight.attempt.model_copy(update={"start_by": self._clock.now() + START_WITHIN}))

    def _send(self, name: str, verb: Verb, flights: list[Flight], drafts: list[Draft]) -> None:
        step, mine = self.steps[name], self.state.step(name)
        number = mine.numbers.get(verb, 0) + 1
        try:
            ledger = self._ledgers.get(step.site) or self._dispatcher.ledger(step.site)
            attempt = self._bench.make(step, self.state, verb, number, self._epoch(step.lease), self._clock.now())
        except UnavailableError as error:
            self._away[name] = self._away.get(name, 0) + 1
            if self._away[name] <= MISSES:
                # Nothing was sent and nothing needs to be journaled: it is simply not ready yet.
                self.tell("retry", name, why=error.summary, delay=step.retry_delay)
                self._unsent[name] = verb
                heapq.heappush(self._due, (self._clock.monotonic() + step.retry_delay, name))
                return
            drafts += self._refused(step, mine, verb, error)
            return
        except AegisError as error:
            drafts += self._refused(step, mine, verb, error)
            return
        self._ledgers[step.site] = ledger
        self._away.pop(name, None)
        self._unsent.pop(name, None)
        flights.append(Flight(attempt))
        data = attempt.model_dump(
            mode="json", include={"verb", "number", "epoch", "site", "action", "resource", "params"}
        )
        drafts.append(Draft("sent", name, {"key": attempt.key, "ledger": ledger, "subject": step.subject, **data}))

    def _refused(self, step: Step, mine: StepState, verb: Verb, error: AegisError) -> list[Draft]:
        """A step that could not even be made into an attempt."""
        if verb != "act" or mine.numbers:
            return [Draft("asked", step.id, {"question": f"{error.summary}: {error.detail}"})]
        if bound(self._removers, self.state, step):
            why = f"it could not be sent, and what was before it cannot be put back: {error.summary}: {error.detail}"
            held = {"decision": "hold", "why": why, "next": verb, "delay": 0.0, "held": True}
            return [Draft("decided", step.id, held)]
        return self._settle(step, "failed", "it could not be sent", trouble=error.as_data())

    # Outcomes

    def collect(self) -> bool:
        """Polls everything on its way; returns whether something ended."""
        ended: list[tuple[str, Flight, Outcome]] = []
        for name, flight in self.flights.items():
            if flight.waits_since is not None:
                continue
            found = self._dispatcher.poll(flight.attempt.key)
            if isinstance(found, Outcome):
                ended.append((name, flight, found))
            elif found != flight.told:
                flight.told = found
                self.tell("progress", name, **found.model_dump(exclude={"key"}))
        if ended:
            self._conclude(ended)
        return bool(ended)

    def _conclude(self, ended: Iterable[tuple[str, Flight, Outcome]]) -> None:
        drafts: list[Draft] = []
        for name, flight, outcome in ended:
            step, mine = self.steps[name], self.state.step(name)
            outcome = trusted(mine, outcome)
            verb = flight.attempt.verb
            data = outcome.model_dump(mode="json", exclude_defaults=True)
            drafts.append(Draft("outcome", name, {"key": outcome.key, "verb": verb, "outcome": data}))
            counts = counted(mine, verb, outcome.verdict)
            del self.flights[name]
            drafts += self._decide(step, mine, verb, outcome, counts, flight.orphaned)
        self.write(*drafts)
        self._announce(drafts)

    def _decide(
        self,
        step: Step,
        mine: StepState,
        verb: Verb,
        outcome: Outcome,
        counts: tuple[int, int, int],
        orphaned: bool,
    ) -> list[Draft]:
        undoing = mine.undoing or verb == "undo"
        decision = decide(
            Situation(
                verb=verb,
                verdict=outcome.verdict,
                answer=outcome.answer,
                undoing=undoing,
                repeatable=step.repeatable,
                retries=max(1, step.retries) if undoing else step.retries,
                retry_delay=step.retry_delay,
                failures=counts[0],
                misses=counts[1],
                doubts=counts[2],
                stopping=bool(self.state.stopping),
                orphaned=orphaned,
                bound=not undoing and bound(self._removers, self.state, step, bool(outcome.marks)),
            )
        )
        return self._carry_out(step, decision, outcome)

    def _carry_out(self, step: Step, decision: Decision, outcome: Outcome) -> list[Draft]:
        if decision.kind == "done":
            return self._settle(step, "done")
        if decision.kind == "ask":
            return [Draft("asked", step.id, {"question": decision.why})]
        decided = Draft(
            "decided",
            step.id,
            {"decision": decision.kind, "why": decision.why, "next": decision.follow, "delay": decision.delay},
        )
        if decision.kind == "fail":
            trouble = outcome.trouble.model_dump() if outcome.trouble else None
            return [decided, *self._settle(step, "failed", decision.why, trouble=trouble)]
        if decision.settles:
            return [decided, *self._settle(step, "done" if decision.kind == "satisfied" else "undone", decision.why)]
        if decision.kind == "hold" and not self.state.stopping:
            # It waits for a resume, and what does not need it goes on.
            return [Draft("decided", step.id, {**decided.data, "held": True})]
        heapq.heappush(self._due, (self._clock.monotonic() + decision.delay, step.id))
        return [decided]

    def _settle(self, step: Step, state: str, cause: str = "", **data: Any) -> list[Draft]:
        """The end of a step, and of all that can never begin after it."""
        drafts = [Draft("settled", step.id, {"state": state, "cause": cause, **data})]
        if state in ("undone", "undo-failed"):
            return drafts
        met = state == "done" or bool(data.get("passed_over")) or (state == "failed" and step.on_error == "continue")
        return drafts + self._lose(step, self._order.settle(step.id, met))

    def _lose(self, step: Step, lost: list[str]) -> list[Draft]:
        return [
            Draft("settled", name, {"state": "skipped", "cause": f"{step.id} did not succeed"})
            for name in lost
            if not self.state.step(name).settled
        ]

    def _announce(self, drafts: list[Draft]) -> None:
        for draft in drafts:
            found = telling(draft, self.state.step(draft.step))
            if found is not None:
                self.tell(found[0], draft.step, **found[1])

    # Rolling back

    def roll_back(self) -> None:
        """Decides about subjects in which a step failed, once nothing of them is on its way."""
        for step in sorted((self.steps[name] for name in self.state.failed), key=self._order.place):
            mine = self.state.step(step.id)
            if not mine.failed_once or mine.passed_over or step.on_error == "continue" or step.id in self._judged:
                continue
            subject = step.subject or step.id
            order, drafts = self.state.rollbacks.get(subject), []
            if order is None:
                if any(self.steps[name].subject == step.subject for name in self.flights):
                    continue
                order = undo_order(self.plan, self.state, step)
                data = {"decision": "roll-back", "subject": subject, "undo": order, "why": f"{step.id} failed"}
                drafts = [Draft("decided", step.id, data)]
            self._judged.add(step.id)
            if not order:
                continue
            told = bool(drafts)
            # Also for a decision of an earlier life: a kill may have cut off what follows from it.
            drafts += given_up(self.plan, self.state, step, order)
            self.write(*drafts)
            if told:
                self.tell("rolling-back", step.id, subject=subject, undo=order)
            self._announce(drafts)

    def _undo_next(self) -> list[str]:
        now = self._clock.monotonic()
        waiting = {name for due, name in self._due if due > now}
        return next_undos(self.state, lambda name: name in self.flights or name in waiting)

    # Waiting

    def next_due(self) -> float | None:
        """Seconds until something is to be sent, or None."""
        return max(0.0, self._due[0][0] - self._clock.monotonic()) if self._due else None

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way and nothing can be sent unless a person says something."""
        return not self.flights and not self._due and not self._blocked and not self._undo_next()

    @property
    def blocked(self) -> list[str]:
        """Steps that wait for an approval."""
        return self._blocked

    # A person's word

    def settle(self, step: Step, state: str, cause: str, *before: Draft, **data: Any) -> None:
        """Ends a step on a person's word."""
        drafts = [*before, *self._settle(step, state, cause, **data)]
        self.write(*drafts)
        self._announce(drafts)

    def follow(self, step: Step, verb: Verb, why: str, *before: Draft) -> None:
        """Sends a verb on a person's word, with fresh patience."""
        heapq.heappush(self._due, (self._clock.monotonic(), step.id))
        self.write(*before, Draft("decided", step.id, {"decision": verb, "why": why, "next": verb, "anew": True}))


def _place(step: Step) -> tuple[str, str]:
    return step.site, step.resource
