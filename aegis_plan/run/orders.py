"""Obeying what other processes put into a run's inbox. A command is journaled before it is taken out, and one that was
journaled is never obeyed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aegis_plan.journal.file import Draft
from aegis_plan.run.inbox import Command, put_aside, take_out, waiting
from aegis_plan.run.work import Work


class Orders:
    """The inbox of one run at work."""

    def __init__(self, folder: Path, work: Work, stop: Callable[[str, str], None]) -> None:
        self._folder, self._work, self._stop = folder, work, stop

    def obey(self) -> bool:
        """Does what lies there; says whether anything did."""
        commands, bad = waiting(self._folder)
        for path, error in bad:
            put_aside(path)
            self._work.tell("command-refused", why=f"{error.summary}: {error.detail}")
        for command in commands:
            if command.id not in self._work.state.commands:
                why = self._obey(command)
                if why:
                    self._work.tell("command-refused", command.step, why=why, do=command.do)
            take_out(self._folder, command)
        return bool(commands)

    def _obey(self, command: Command) -> str:
        """Obeys one command; returns why it cannot be."""
        work, by = self._work, command.by or "somebody"
        if command.do == "cancel":
            self._stop(f"cancelled by {by}", command.id)
            return ""
        step = work.steps.get(command.step)
        if step is None:
            return f"the plan has no step {command.step}"
        mine = work.state.step(step.id)
        data = {"command": command.id, "by": by, "answer": command.word or command.do}
        if command.do == "approve":
            if not step.approve:
                return f"{step.id} needs no approval"
            if step.id not in work.state.approvals:
                work.write(
                    Draft(
                        "approved", step.id, {"command": command.id, "by": by, "how": "command", "what": step.approve}
                    )
                )
                work.tell("approved", step.id, by=by)
            return ""
        said = Draft("answered", step.id, data)
        if command.do == "skip":
            if mine.settled or mine.state == "running":
                return f"{step.id} is {mine.state} and cannot be skipped"
            state = "undo-failed" if mine.undoing else "skipped"
            work.settle(step, state, f"skipped by {by}: {command.word}", said, passed_over=not mine.undoing)
            return ""
        if mine.state != "asked" and not (command.do == "retry" and mine.state == "waiting" and mine.numbers):
            return f"{step.id} is {mine.state}; nothing was asked about it"
        if command.do == "retry" or command.word == "not-done":
            work.follow(step, "undo" if mine.undoing else "act", f"{by} says: {command.word or 'retry'}", said)
        else:
            work.settle(step, "undone" if mine.undoing else "done", f"{by} says that it is done", said)
        return ""
