"""The scheduler as a daemon: puts its parts together, keeps it turning and listens for the signal to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from aegis_plan.clock import Clock, SystemClock, new_id, stamp
from aegis_plan.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from aegis_plan.catalog.holding import Shelf
    from aegis_plan.cli.session import Session
    from aegis_plan.documents.model import Documents
    from aegis_plan.repositories.contract import Repository
    from aegis_plan.schedule.job import Unit
    from aegis_plan.schedule.round import Round
    from aegis_plan.schedule.scheduler import Scheduler

LONGEST = 5.0
"""Seconds that it sleeps at a stretch: a clock that is set, or a host that slept, shows after them."""


def serve(session: Session, site: str | None, working_copy: bool, as_json: bool) -> int:
    """Serves until TERM or INT; then what runs is brought to a safe stop, and a second signal ends it at once."""
    from aegis_plan.cli.due import unfinished
    from aegis_plan.cli.planning import require_known
    from aegis_plan.cli.published import in_force
    from aegis_plan.cli.wire import World
    from aegis_plan.schedule.leader import Leader
    from aegis_plan.schedule.scheduler import Scheduler

    clock = SystemClock()
    tell = _Log(clock, as_json)
    begun = in_force(working_copy)
    first = begun.loaded
    require_known("site", site, first.documents.sites)
    opened = World(first.documents, first.digest)
    name, folder = site or opened.here.file.site, opened.here.folder
    opened.close()

    said = ""

    def documents() -> Documents:
        nonlocal said
        found = in_force(working_copy)
        words = found.words + (f". {found.warning}" if found.warning else "")
        if words != said:
            tell("documents", f"works by {words}", publication=found.number, differ=found.ahead, warning=found.warning)
            said = words
        return found.loaded.documents

    def authority() -> Repository:
        return World(first.documents, first.digest).authority()

    def look(found: Documents, stores: Sequence[str]) -> Mapping[str, Shelf]:
        world = World(found, "")
        try:
            return world.shelves(stores)
        finally:
            world.close()

    run = new_id(clock.now())
    system = first.documents.system.name
    leader = Leader(authority, system, f"scheduler {name}", run, clock)
    start = _Children(session, tell, working_copy)
    scheduler = Scheduler(documents, look, leader, start, clock, tell, lambda: unfinished(folder))
    tell("scheduler-begun", f"scheduler of {system} at {name}, pid {os.getpid()}", site=name, scheduler=run)
    return _turn(scheduler, clock, tell)


def _turn(scheduler: Scheduler, clock: Clock, tell: _Log) -> int:
    asked = threading.Event()
    count = 0

    def on_signal(_number: int, _frame: Any) -> None:
        nonlocal count
        count += 1
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    while not asked.is_set():
        try:
            due = scheduler.turn()
            pause = (due - clock.now()).total_seconds()
        except Exception as error:  # noqa: BLE001 - a scheduler that dies backs up nothing any more
            tell("turn-failed", f"a turn failed ({type(error).__name__}: {error}); the next one comes in a minute")
            pause = 60.0
            asked.wait(pause)
            continue
        asked.wait(min(max(pause, 0.05), LONGEST))
    tell("stopping", "stopping; what runs is brought to a safe stop. Once more ends it at once.")
    scheduler.stop()
    while not scheduler.finish():
        if count > 1:
            scheduler.stop(at_once=True)
            tell("ended", "ended at once; what ran goes on from its journal at the next start")
            return EXIT_INTERRUPTED
        clock.sleep(0.2)
    tell("ended", "ended")
    return 0


class _Children:
    """Starts a due run as a program with the same documents and variables as this one."""

    def __init__(self, session: Session, tell: _Log, working_copy: bool) -> None:
        self._tell = tell
        self._variables = [word for name, value in session.variables.items() for word in ("--var", f"{name}={value}")]
        self._variables += ["--working-copy"] if working_copy else []
        self._variables += [word for path in session.variable_files for word in ("--var-file", str(path))]

    def __call__(self, unit: Unit) -> Round:
        from aegis_plan.schedule.child import Child
        from aegis_plan.schedule.round import Ended, Over

        store, aspect = unit
        command = [sys.executable, "-m", "aegis_plan", "backup", store]
        command += ["--due", "--aspect", aspect, "--by", "scheduler", "--json", *self._variables]
        try:
            return Child(command, unit, self._tell)
        except OSError as error:
            return Over(Ended("failed", "", f"the program cannot be started: {error.strerror}"))


class _Log:
    """One line for each thing that happens, with its time."""

    def __init__(self, clock: Clock, as_json: bool) -> None:
        self._clock, self._json = clock, as_json
        self._guard = threading.Lock()

    def __call__(self, kind: str, message: str, **data: Any) -> None:
        from aegis_plan.report.events import line
        from aegis_plan.report.visible import visible

        now = self._clock.now()
        text = line(kind, now, message, **data) if self._json else f"{stamp(now)[:19]}Z {kind}: {visible(message)}"
        with self._guard:
            try:
                click.echo(text)
                sys.stdout.flush()
            except OSError:
                return  # whoever read the log is gone, and backups go on
