"""Carrying out a plan: the life of a run from its first entry to its last, over as many processes as it takes. It does
the steps of the plan and no others.
"""

from __future__ import annotations

import getpass
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from aegis_plan.clock import Clock
from aegis_plan.dispatch.contract import Dispatcher
from aegis_plan.errors import AegisError, LockedError, StaleError
from aegis_plan.journal.entry import FORMAT, OLDEST_READER
from aegis_plan.journal.file import Draft, Journal
from aegis_plan.journal.mirror import Mirror
from aegis_plan.journal.replay import RunState, replay
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.planfile import write
from aegis_plan.plan.step import Step
from aegis_plan.repositories.contract import Repository
from aegis_plan.run.approval import Approver, Desk
from aegis_plan.run.events import Event, EventKind, Tell
from aegis_plan.run.keep import keep
from aegis_plan.run.leases import Leases, needed, unneeded
from aegis_plan.run.orders import Orders
from aegis_plan.run.ready import Ready
from aegis_plan.run.result import Result, conclude, finished
from aegis_plan.run.stale import refuse, stale
from aegis_plan.run.used import mark_used, refuse_used
from aegis_plan.run.work import Work

_LOOK = 0.1
"""Seconds between looks into the inbox."""
_TURN = 0.25
"""The longest that one turn waits for attempts."""
_ASTRAY = timedelta(minutes=5)
"""How far the clocks of two hosts may be apart."""


class Executor:
    """One life of a run. `apply` begins it, `resume` goes on with it; one of the two is called, once."""

    def __init__(
        self,
        plan: Plan,
        digest: str,
        run: str,
        folder: Path,
        dispatcher: Dispatcher,
        authority: Repository | None,
        clock: Clock,
        approve: Approver,
        tell: Tell,
        *,
        who: str = "",
        snapshot: Snapshot | None = None,
        look: Callable[[], Snapshot] | None = None,
        documents_digest: str = "",
        kept: bytes = b"",
        mirror: Mirror | None = None,
        break_glass: str = "",
        approved: str = "",
        lock_timeout: float = 0.0,
        parallel: int | None = None,
        mirror_limit: float = 30.0,
        stop_grace: float = 300.0,
    ) -> None:
        """`folder` is the run's own, `runs/<run>`. `snapshot` is a fresh one, against which the plan's facts are held;
        `look` takes another where somebody worked on the same stores since. `documents_digest` is that of the documents
        at hand, `kept` the plan file as it was read; without it one is made. `approved` says how the plan as a whole
        was approved, `break_glass` why to go on without the authority (then None) or its mirrors. `lock_timeout`,
        `mirror_limit` and `stop_grace` are seconds."""
        self._plan, self._digest, self._run, self._folder = plan, digest, run, folder
        self._dispatcher, self._authority, self._clock, self._tell = dispatcher, authority, clock, tell
        self._snapshot, self._look, self._documents_digest = snapshot, look, documents_digest
        self._kept = kept or write(plan)
        self._mirror, self._break_glass, self._approved = mirror, break_glass, approved
        self._lock_timeout, self._parallel = lock_timeout, parallel or plan.parallelism
        self._mirror_limit, self._grace = mirror_limit, stop_grace
        self._who, self._host = who or getpass.getuser(), socket.gethostname()
        self._desk = Desk(approve)
        self._interrupted = threading.Event()
        self.state = RunState(run=run)

    def apply(self) -> Result:
        """Begins the run and works until it is over or stops.

        Raises AegisError `plan-blocked`, `plan-malformed`, `run-exists`; StaleError `plan-stale`, `plan-applied`;
        LockedError `lease-held`, `run-active`; UnavailableError when the authority cannot be reached."""
        if self._plan.blocked:
            first = next(finding for finding in self._plan.findings if finding.severity == "error")
            raise AegisError(
                "plan-blocked",
                "the plan has an error and cannot be applied",
                f"{first.code}: {first.summary}{': ' + first.detail if first.detail else ''}",
                first.hint or "mend what it names and make a new plan",
            )
        Ready(self._plan.steps)
        self._check_fresh()
        if self._authority is not None and self._plan.steps:
            refuse_used(self._authority, self._plan.system, self._digest)
        journal = Journal.create(self._folder, self._clock, self._mirror)
        try:
            keep(self._folder, self._kept)
            self._enter(
                journal,
                Draft(
                    "begun",
                    data={
                        "format": FORMAT,
                        "oldest_reader": OLDEST_READER,
                        "run": self._run,
                        "plan": self._digest,
                        "who": self._who,
                        "host": self._host,
                        "break_glass": self._break_glass,
                    },
                ),
            )
            if self._approved:
                self._enter(journal, Draft("approved", data={"by": self._who, "how": self._approved, "what": "plan"}))
            self._event("run-begun", run=self._run, steps=len(self._plan.steps))
            return self._live(journal)
        finally:
            journal.close(flush=5.0)

    def resume(self) -> Result:
        """Goes on with a run that stopped or was killed; one that is over is only told about.

        Raises LockedError `run-active`, `lease-held`; DamageError `journal-damaged`; StaleError `plan-stale`;
        AegisError `run-unknown`, `run-of-another-plan`."""
        journal, entries = Journal.open(self._folder, self._clock, self._mirror)
        try:
            self.state = replay(entries)
            if not entries:
                # Killed before its first entry was whole: nothing was sent, and nothing can have been.
                self.state.run = self._run
                begun = {"format": FORMAT, "oldest_reader": OLDEST_READER, "run": self._run, "plan": self._digest}
                self._enter(journal, Draft("begun", data={**begun, "who": self._who, "host": self._host}))
            if self.state.digest != self._digest:
                raise AegisError(
                    "run-of-another-plan",
                    "the run was begun with another plan",
                    f"{self._run}: its journal names {self.state.digest[:12]}, the plan is {self._digest[:12]}",
                    "resume it with the plan in its own folder",
                )
            if self.state.ended is not None:
                owner = f"{self.state.who}@{self.state.host}"
                Leases(self._authority, self._plan, owner, self._run, self._clock).leave(
                    unneeded(self._plan, self.state)
                )
                return conclude(self._plan, self.state, self._clock.now(), already=True)
            self._check_fresh()
            self._enter(journal, Draft("resumed", data={"who": self._who, "host": self._host}))
            self._event("run-resumed", run=self._run, life=self.state.lives)
            return self._live(journal)
        finally:
            journal.close(flush=5.0)

    def interrupt(self) -> None:
        """Ends gracefully: no new steps, what runs is asked to stop. Safe to call from a signal handler."""
        self._interrupted.set()

    # One life

    def _live(self, journal: Journal) -> Result:
        # The journal's lock lets one process at a time be this run, so that a later life may take over its leases.
        owner = f"{self.state.who}@{self.state.host}"
        leases = Leases(self._authority, self._plan, owner, self._run, self._clock)
        work = Work(
            self._plan,
            self.state,
            journal,
            self._dispatcher,
            self._clock,
            self._tell,
            leases.epoch,
            self._may_begin,
            self._parallel,
        )
        self._work = work
        try:
            if self._plan.steps:
                self._prepare(work, leases)
            if self.state.lives > 1:
                leases.leave(unneeded(self._plan, self.state))
            work.attach()
            self._turns(work, leases)
            self._let_go(work, leases, everything=True)
        finally:
            leases.close()
        if finished(self._plan, self.state):
            return self._end(work)
        result = conclude(self._plan, self.state, self._clock.now())
        self._event("run-ended", verdict=result.verdict, exit_code=result.exit_code, reason=result.reason)
        return result

    def _prepare(self, work: Work, leases: Leases) -> None:
        """Leases, then the mark of the used plan: a plan that could not begin is not used up."""
        needs = needed(self._plan, self.state)
        above = self.state.past_epochs
        try:
            taken = leases.take(
                needs,
                self._lock_timeout,
                above,
                lambda name, error: work.tell("lease-waiting", lease=name, why=error.detail),
                self._interrupted.is_set,
            )
            if taken:
                work.write(
                    *(
                        Draft("lease", data={"lease": name, "epoch": epoch, "state": "taken"})
                        for name, epoch in taken.items()
                    )
                )
                for name, epoch in taken.items():
                    work.tell("lease-taken", lease=name, epoch=epoch)
            self._look_again(leases)
            if self._authority is not None:
                mark_used(
                    self._authority,
                    self._plan.system,
                    self._digest,
                    self._run,
                    self._who,
                    self._host,
                    self._clock.now(),
                )
        except AegisError as error:
            if self.state.lives == 1 and not any(mine.numbers for mine in self.state.steps.values()):
                # Nothing was sent: this run is over, and the plan may be applied by another.
                ended = {"verdict": "refused", "code": error.code, "at": self._clock.now().isoformat()}
                work.write(Draft("ended", data=ended))
            raise

    def _turns(self, work: Work, leases: Leases) -> None:
        orders = Orders(self._folder, work, self._stop)
        looked, since = -1.0, None
        while True:
            now = self._clock.monotonic()
            if now - looked >= _LOOK:
                looked = now
                orders.obey()
                self._watch(leases)
            ended = work.collect()
            if ended:
                work.roll_back()
                self._let_go(work, leases)
            if self.state.stopping:
                since = now if since is None else since
                work.cancel(self.state.stopping)
                # What does not answer is left to the site, which ends it by itself; a resume asks again.
                if not work.flights or now - since > self._grace:
                    return
            else:
                work.roll_back()
                self._retake(work, leases)
                work.begin()
                late = work.hand_over(self._mirror_limit, bool(self._break_glass))
                if late is not None:
                    self._stop(f"{late.summary}: {late.detail}")
                    continue
                if work.idle:
                    orders.obey()
                    if work.idle:
                        return
            self._wait(work, ended)

    def _wait(self, work: Work, ended: bool) -> None:
        if ended:
            return
        due = work.next_due()
        pause = _TURN if due is None else min(_TURN, due)
        running = [flight.attempt.key for flight in work.flights.values() if flight.waits_since is None]
        if running and len(running) == len(work.flights):
            self._dispatcher.wait(running, pause)
        elif work.flights or work.blocked or due is not None:
            self._clock.sleep(min(pause, 0.01 if work.flights else 0.05))

    def _watch(self, leases: Leases) -> None:
        if self._interrupted.is_set():
            self._stop("interrupted")
        lost = leases.lost()
        if lost is not None and not self.state.stopping:
            name, error = lost
            self._work.write(Draft("lease", data={"lease": name, "state": "lost", "code": error.code}))
            self._event("lease-lost", lease=name, why=error.detail)
            self._stop(f"the lease of {name} was lost: {error.detail}")
        wanted = leases.wanted()
        if wanted:
            self._stop(f"asked to stop by {wanted}")

    def _stop(self, why: str, command: str = "") -> None:
        if self.state.stopping:
            return
        data = {"why": why, "command": command} if command else {"why": why}
        self._work.write(Draft("stopping", data=data))
        self._event("stopping", why=why)

    def _end(self, work: Work) -> Result:
        result = conclude(self._plan, self.state, self._clock.now())
        work.write(
            Draft(
                "ended",
                data={
                    "verdict": result.verdict,
                    "exit_code": result.exit_code,
                    "at": self._clock.now().isoformat(),
                    "achieved": [
                        {"subject": one.subject, "objective": one.objective, "seconds": one.seconds, "basis": one.basis}
                        for one in result.achieved
                    ],
                },
            )
        )
        result = conclude(self._plan, self.state, self._clock.now())
        self._event("run-ended", verdict=result.verdict, exit_code=result.exit_code)
        return result

    # Leases while it runs

    def _let_go(self, work: Work, leases: Leases, everything: bool = False) -> None:
        held = leases.held()
        if not held:
            return
        still = set() if everything else needed(self._plan, self.state)
        over = [name for name in held if name not in still]
        for name in over:
            leases.release(name)
        work.write(*(Draft("lease", data={"lease": name, "state": "released"}) for name in over))

    def _retake(self, work: Work, leases: Leases) -> None:
        """A rollback may need a lease that was let go."""
        if not self.state.rollbacks or self._authority is None:
            return
        missing = needed(self._plan, self.state) - set(leases.held())
        if not missing:
            return
        try:
            taken = leases.take(
                missing, self._lock_timeout, self.state.past_epochs, lambda *_: None, self._interrupted.is_set
            )
        except LockedError as error:
            self._stop(f"{error.summary}: {error.detail}")
            return
        work.write(
            *(Draft("lease", data={"lease": name, "epoch": epoch, "state": "taken"}) for name, epoch in taken.items())
        )

    # Small parts

    def _may_begin(self, step: Step) -> bool:
        if not step.approve or step.id in self.state.approvals:
            return True
        answer = self._desk.answer(step.id)
        if answer is None:
            if self._desk.ask(step):
                self._event("approval-wanted", step.id, question=step.approve)
            return False
        if not answer.given:
            self._stop(f"{answer.by} did not approve {step.id}")
            return False
        self._work.write(
            Draft("approved", step.id, {"by": answer.by, "how": answer.how, "what": step.approve}),
        )
        self._event("approved", step.id, by=answer.by)
        return True

    def _check_fresh(self) -> None:
        if self._documents_digest and self._documents_digest != self._plan.documents_digest:
            raise StaleError(
                "plan-documents-differ",
                "the documents are no longer those of the plan",
                f"planned with {self._plan.documents_digest[:12]}, now {self._documents_digest[:12]}",
                "make a new plan, or apply from a folder without documents to do what was planned",
            )
        if self._snapshot is not None:
            sent = {name for name, mine in self.state.steps.items() if mine.numbers or mine.settled}
            refuse(stale(self._plan, self._snapshot, sent))

    def _look_again(self, leases: Leases) -> None:
        """Another run may have changed what was seen, until the moment at which its lease became ours."""
        seen, others = self._snapshot, leases.others
        if self._look is None or seen is None or others is None or others < seen.taken_at - _ASTRAY:
            return
        self._snapshot = self._look()
        self._check_fresh()

    def _enter(self, journal: Journal, draft: Draft) -> None:
        for entry in journal.append([draft]):
            self.state.apply(entry)

    def _event(self, kind: EventKind, step: str = "", **data: object) -> None:
        self._tell(Event(kind, self._clock.now(), step, data))
