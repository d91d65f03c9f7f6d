"""One due run: looks at what is due of a store, plans it, applies it, puts down what became of it, and tells people.

Timers, the scheduler and people take this same way. A run that was killed is gone on with first."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from aegis_plan.cli.dueending import Outcome, outcome_of, put_down
from aegis_plan.cli.duevoice import Voice
from aegis_plan.clock import new_id
from aegis_plan.errors import (
    EXIT_FAILED,
    EXIT_LOCKED,
    EXIT_OK,
    EXIT_PARTIAL,
    EXIT_UNKNOWN,
    AegisError,
    LockedError,
    StaleError,
)

if TYPE_CHECKING:
    from aegis_plan.cli.session import Session
    from aegis_plan.cli.wire import World
    from aegis_plan.plan.plan import Plan
    from aegis_plan.schedule.job import Aspect, Standing, Unit

By = Literal["scheduler", "timer", "person"]
FOLDER = "schedule"
"""Below the site's: what waits to be written to repositories, and marks of runs under way."""
EXITS = {
    "done": EXIT_OK,
    "degraded": EXIT_OK,
    "nothing": EXIT_OK,
    "failed": EXIT_FAILED,
    "unknown": EXIT_UNKNOWN,
    "stopped": EXIT_PARTIAL,
    "locked": EXIT_LOCKED,
}
WORST = (EXIT_FAILED, EXIT_UNKNOWN, EXIT_PARTIAL, EXIT_LOCKED, EXIT_OK)
"""Of several runs, the first of these that one ended with."""


class Stopped:
    """Whether somebody asked to stop, between runs as well as within one."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Notes TERM and INT; within a run the run's own way of stopping is in force."""

        def note(_number: int, _frame: Any) -> None:
            self.asked = True

        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_due(
    session: Session,
    open_world: Callable[[], World],
    stores: Sequence[str],
    aspects: Sequence[Aspect],
    by: By,
    *,
    as_json: bool = False,
    lock_timeout: float = 0.0,
    break_glass: str = "",
) -> int:
    """Every store named, one after the other, each by a plan and a run of its own: one that cannot be backed up holds
    up no other. Returns the exit code of the worst."""
    codes: set[int] = set()
    stopped = Stopped()
    did = False
    with stopped.listening():
        for store in stores:
            if stopped.asked:
                codes.add(EXIT_PARTIAL)
                break
            world = open_world()
            try:
                due = _Due(session, world, store, tuple(aspects), by, as_json, lock_timeout, break_glass)
                outcome = due.carry_out()
            finally:
                world.close()
            did = did or outcome.due
            codes.add(EXITS[outcome.verdict])
            stopped.asked = stopped.asked or outcome.verdict == "stopped"
    if not did and not as_json and not codes - {EXIT_OK}:
        click.echo("Nothing is due.")
    return next(code for code in (*WORST, EXIT_OK) if code in codes or code == EXIT_OK)


class _Due:
    """One store, from the first look to the last word."""

    def __init__(
        self,
        session: Session,
        world: World,
        store: str,
        aspects: tuple[Aspect, ...],
        by: By,
        as_json: bool,
        lock_timeout: float,
        break_glass: str,
    ) -> None:
        self.session, self.world, self.store, self.aspects, self.by = session, world, store, aspects, by
        self.json, self.lock_timeout, self.break_glass = as_json, lock_timeout, break_glass
        self.folder = world.here.folder / FOLDER
        self.aspect: Aspect = "log" if aspects == ("log",) else "data"
        self.name = f"{store}/{self.aspect}" if len(aspects) == 1 else store
        self.voice = Voice(world, store, self.aspect, self.name, as_json)
        self.begun = world.clock.now()
        self.standings: tuple[Standing, ...] = ()
        self.unfinished: list[str] = []

    def carry_out(self) -> Outcome:
        try:
            outcome = self._work()
        except _StoppedAgainError as stopped:
            self.voice.say("due-ended", f"{self.name}: stopped", verdict="stopped", due=True, run=stopped.outcome.run)
            return stopped.outcome
        except LockedError as error:
            outcome = Outcome("locked", code=error.code, why=error.summary)
            self.voice.warn(error)
        except StaleError as error:
            # Somebody else worked on the same store between look and run: what is due then is another matter.
            outcome = Outcome("locked", code=error.code, why=error.summary)
            self.voice.warn(error)
        except AegisError as error:
            outcome = Outcome("failed", code=error.code, why=error.summary)
            self.voice.warn(error)
        if outcome.due:
            self._conclude(outcome, self.begun)
        self.voice.say(
            "due-ended",
            f"{self.name}: {outcome.verdict if outcome.due else 'nothing is due'}"
            + (f", run {outcome.run}" if outcome.run else "")
            + (f": {outcome.why}" if outcome.why else ""),
            verdict=outcome.verdict,
            due=outcome.due,
            run=outcome.run,
            code=outcome.code,
            why=outcome.why,
        )
        return outcome

    # What is due

    def _work(self) -> Outcome:
        from aegis_plan.cli.planning import make_plan
        from aegis_plan.plan.plan import Intent
        from aegis_plan.schedule.job import standing

        self._go_on_with_killed()
        documents = self.world.documents
        options = {"due": True, "aspects": list(self.aspects)}
        plan = make_plan(self.world, Intent(kind="protect", stores=(self.store,), options=options))
        shelf = plan.snapshot.stores[self.store].shelf
        found = standing(documents, {self.store: shelf}, plan.snapshot.taken_at, (self.store,))
        self.standings = tuple(one for one in found if one.job.aspect in self.aspects)
        pending = [one for one in self.standings if one.due]
        if plan.blocked:
            first = next(finding for finding in plan.findings if finding.severity == "error")
            return Outcome("failed", bool(pending or plan.steps), "", (), first.code, first.summary)
        if plan.steps:
            outcome = self._apply(plan, pending)
            left = self._left(plan, pending) if outcome.verdict in ("done", "degraded") else ()
            if not left:
                return outcome
            why = f"the run ended, and {' and '.join(left)} is still due"
            return replace(outcome, verdict="failed", code="due-without-step", why=why)
        if not pending:
            return Outcome("nothing", due=False)
        if self._nothing_new(plan, pending):
            return Outcome("nothing", due=self._first_time(pending), why="all that the server has written is archived")
        reasons = [one for one in plan.findings if one.subject == self.store and one.severity in ("breach", "warning")]
        why = reasons[0].summary if reasons else "the plan holds no step for it"
        return Outcome("failed", code=reasons[0].code if reasons else "due-without-step", why=why)

    def _left(self, plan: Plan, pending: Sequence[Standing]) -> tuple[str, ...]:
        """What is due as before, by the catalog: a run that only mended other things did nothing of it."""
        from aegis_plan.plan.aspects import LOG, aspect
        from aegis_plan.schedule.job import standing

        left = []
        log = [one for one in pending if one.job.kind == "log"]
        if log and not any(aspect(step) == LOG for step in plan.steps) and not self._nothing_new(plan, log):
            left.append("log")
        data = {one.job.kind: one.last for one in pending if one.job.kind != "log"}
        if data:
            now = self.world.clock.now()
            found = standing(self.world.documents, self.world.shelves((self.store,)), now, (self.store,))
            left += [one.job.kind for one in found if one.job.kind in data and one.last == data[one.job.kind]]
        return tuple(left)

    def _nothing_new(self, plan: Plan, pending: Sequence[Standing]) -> bool:
        """Whether only the log is due, and the server was seen to have written nothing since."""
        from aegis_plan.stores.contract import Ask
        from aegis_plan.stores.specs import spec
        from aegis_plan.topology.graph import tier_of_store

        if any(one.job.kind != "log" for one in pending):
            return False
        documents, look = self.world.documents, plan.snapshot.stores[self.store]
        store = documents.stores[self.store]
        tier = tier_of_store(documents, self.store)
        now = plan.snapshot.taken_at
        ask = Ask(documents=documents, name=self.store, store=store, look=look, now=now, tier=tier)
        return spec(store.engine).exposure(ask).seconds == 0

    def _first_time(self, pending: Sequence[Standing]) -> bool:
        """Whether this moment was not put down yet: a timer that comes every minute would fill the history."""
        moment = max((one.moments[-1].isoformat() for one in pending if one.moments), default="")
        path = self.folder / f"{self.store}.{self.aspect}.nothing"
        with suppress(OSError):
            if path.read_text(encoding="ascii") == moment:
                return False
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_text(moment, encoding="ascii")
        return True

    # The run

    def _apply(self, plan: Plan, pending: Sequence[Standing]) -> Outcome:
        from aegis_plan.cli.applying import carry_out
        from aegis_plan.plan.planfile import digest

        run = new_id(self.world.clock.now())
        kinds = [one.job.kind for one in pending]
        missed = max((one.missed for one in pending), default=0)
        self.voice.say(
            "due-begun",
            f"{self.name}: begins run {run}"
            + (f" for {', '.join(kinds)}" if kinds else " for what else is to mend")
            + (f"; {missed} earlier moments were missed" if missed else ""),
            run=run,
            kinds=kinds,
            missed=missed,
            steps=[step.id for step in plan.steps],
        )
        mark = self._mark(run)
        try:
            result = carry_out(
                self.session, self.world, plan, digest(plan), run, "schedule", plan.snapshot,
                lock_timeout=self.lock_timeout, break_glass=self.break_glass, as_json=self.json,
            )  # fmt: skip
        except AegisError:
            _unmark(mark)
            raise
        outcome = outcome_of(result, plan)
        if outcome.verdict != "stopped":
            _unmark(mark)
        return outcome

    def _mark(self, run: str) -> Path:
        """A file that stays where this program is killed or stopped, so that the next one goes on with the run."""
        path = self.folder / f"{run}.open"
        data = {"store": self.store, "aspects": list(self.aspects), "begun": self.begun.isoformat()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_text(json.dumps(data), encoding="ascii")
        except OSError as error:
            from aegis_plan.site.runner import folder_error

            raise folder_error(self.world.here.file, error) from None
        return path

    def _go_on_with_killed(self) -> None:
        """Runs for the same store that were killed: gone on with from their journal, so that nothing is done twice.

        Raises LockedError where one of them is at work."""
        from aegis_plan.cli.applying import carry_out
        from aegis_plan.cli.runfolder import is_over
        from aegis_plan.cli.show import read_file
        from aegis_plan.run.keep import PLAN

        for path in sorted(self.folder.glob("*.open")):
            try:
                data = json.loads(path.read_text(encoding="ascii"))
            except (OSError, ValueError):
                continue
            if data.get("store") != self.store or not set(data.get("aspects", ())) & set(self.aspects):
                continue
            run = path.name.removesuffix(".open")
            folder = self.world.here.folder / "runs" / run
            outcome = Outcome("failed", run=run, code="run-killed", why="the run was killed")
            if (folder / PLAN).exists() and not is_over(folder):
                try:
                    plan, digest, kept = read_file(folder / PLAN)
                    snapshot = self.world.observe(plan.intent.stores or None, plan.intent.sites_down)
                    result = carry_out(
                        self.session, self.world, plan, digest, run, "", snapshot,
                        kept=kept, resume=True, lock_timeout=self.lock_timeout, break_glass=self.break_glass,
                        as_json=self.json,
                    )  # fmt: skip
                    outcome = outcome_of(result, plan)
                except LockedError:
                    raise
                except AegisError as error:
                    outcome = replace(outcome, why=f"the run was killed, and cannot be gone on with: {error.summary}")
            self.unfinished.append(run)
            with suppress(ValueError, KeyError, TypeError):
                self._conclude(outcome, datetime.fromisoformat(data["begun"]), (run,))
            if outcome.verdict == "stopped":
                raise _StoppedAgainError(outcome)
            _unmark(path)

    # How it ended

    def _conclude(self, outcome: Outcome, begun: datetime, unfinished: tuple[str, ...] | None = None) -> None:
        from aegis_plan.catalog.schedule_record import ScheduleRecord

        world, now = self.world, self.world.clock.now()
        record = ScheduleRecord(
            id=new_id(now),
            system=world.documents.system.name,
            store=self.store,
            aspect=self.aspect,
            site=world.here.file.site,
            by=self.by,
            due=tuple(one.as_due(begun) for one in self.standings if one.due),
            begun=begun,
            ended=now,
            verdict=outcome.verdict,
            run=outcome.run,
            steps=outcome.steps,
            code=outcome.code,
            why=outcome.why,
            unfinished=tuple(self.unfinished) if unfinished is None else unfinished,
        )
        put_down(world, self.voice, self.folder, record)


class _StoppedAgainError(Exception):
    """A run that was gone on with was stopped once more; what became of it is put down already."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.run)
        self.outcome = outcome


def unfinished(site: Path) -> set[Unit]:
    """What runs of this site that were killed or stopped were for."""
    found: set[Unit] = set()
    for path in (site / FOLDER).glob("*.open"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            data = json.loads(path.read_text(encoding="ascii"))
            found |= {(data["store"], aspect) for aspect in data["aspects"]}
    return found


def _unmark(mark: Path) -> None:
    with suppress(OSError):
        mark.unlink()
