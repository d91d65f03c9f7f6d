"""A run while it goes on: a live view on a terminal, calm lines elsewhere, events for machines. It only tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aegis_plan.documents.scalars import span
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.step import Step
from aegis_plan.report.events import line
from aegis_plan.report.terminal import amount, is_ascii, letters
from aegis_plan.run.events import Event

HEARTBEAT = 10.0
"""Seconds between two signs of life where there is no terminal."""
_MARKS = {"done": ("✓", "good"), "failed": ("✗", "bad"), "undone": ("↩", "warn"), "skipped": ("·", "quiet")}
_PLAIN = {"✓": "ok", "✗": "FAILED", "↩": "undone", "·": "skipped"}


@dataclass
class _Running:
    """One attempt under way."""

    step: Step
    verb: str
    begun: float = field(default_factory=time.monotonic)
    phase: str = ""
    done: int = 0
    total: int | None = None
    unit: str = "B"

    def text(self) -> str:
        words = [self.phase] if self.phase and self.phase != "sent" else []
        if self.done or self.total:
            shown = amount if self.unit == "B" else str
            words.append(shown(self.done) + (f" of {shown(self.total)}" if self.total else ""))
        elapsed = time.monotonic() - self.begun
        expected = self.step.estimate.seconds
        words.append(f"{span(elapsed)} of about {span(expected)}" if expected else span(elapsed))
        return ", ".join(words)


class View:
    """Tells people how far a run is. A context: the live part ends with it."""

    def __init__(self, plan: Plan, out: Console) -> None:
        self._steps = {step.id: step for step in plan.steps}
        self._out = out
        self._running: dict[str, _Running] = {}
        self._guard = threading.RLock()
        self._width = max((len(step.id) for step in plan.steps), default=10)
        self._live = (
            Live(get_renderable=self._render, console=out, refresh_per_second=6, transient=True)
            if out.is_terminal
            else None
        )
        self._ending = threading.Event()
        self._beat = threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True)

    def __enter__(self) -> View:
        if self._live:
            self._live.start()
        else:
            self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if self._live:
            self._live.stop()

    def pause(self) -> None:
        """Takes the live part away while a person is asked something."""
        if self._live:
            self._live.stop()

    def go_on(self) -> None:
        if self._live and not self._ending.is_set():
            self._live.start()

    def tell(self, event: Event) -> None:
        """Takes one event; safe to call from any thread."""
        with self._guard:
            step = self._steps.get(event.step)
            data = event.data
            if event.kind == "step-begun" and step:
                self._running[step.id] = _Running(step, str(data.get("verb", "act")))
            elif event.kind == "progress" and step:
                running = self._running.setdefault(step.id, _Running(step, "act"))
                running.phase = str(data.get("phase", ""))
                running.done, running.total = int(data.get("done") or 0), data.get("total")
                running.unit = str(data.get("unit", "B"))
            elif event.kind == "step-settled" and step:
                self._running.pop(step.id, None)
                self._settled(step, data)
            elif event.kind == "held":
                self._running.pop(event.step, None)
                self._print(Text("  " + letters(self._out, message(event)), style="bad"))
            else:
                text = message(event)
                if text:
                    self._print(Text("  " + letters(self._out, text), style="warn"))

    def _settled(self, step: Step, data: dict[str, Any]) -> None:
        state = str(data.get("state", "done"))
        mark, style = _MARKS.get(state, ("?", "warn"))
        text = Text("  ")
        text.append(_PLAIN.get(mark, mark) if is_ascii(self._out) else mark, style=style)
        text.append(f" {step.id:<{self._width}}  ", style="name" if state == "failed" else "")
        if state == "done":
            seconds = data.get("seconds")
            text.append(span(seconds) if seconds is not None else "", style="quiet")
        else:
            text.append(state, style=style)
        cause = data.get("cause")
        if cause and state != "done":
            text.append(f"  {letters(self._out, str(cause))}", style="quiet")
        self._print(text)
        for finding in data.get("findings") or ():
            note = f"      {finding.get('severity')}[{finding.get('code')}]: {finding.get('summary')}"
            detail = finding.get("detail")
            self._print(Text(letters(self._out, note + (f": {detail}" if detail else "")), style="warn"))

    def _print(self, text: Text) -> None:
        self._out.print(text, soft_wrap=not self._out.is_terminal)

    def _render(self) -> Group:
        # Without the guard: this runs under the console's lock, which `tell` takes while it holds the guard.
        grid = Table.grid(padding=(0, 1, 0, 0))
        frames = "|/-\\" if is_ascii(self._out) else "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
        frame = frames[int(time.monotonic() * 8) % len(frames)]
        for running in list(self._running.values()):
            verb = "" if running.verb == "act" else f"{running.verb}: "
            grid.add_row(
                Text(f"  {frame}", style="read"),
                Text(f"{running.step.id:<{self._width}} "),
                Text(letters(self._out, verb + running.text()), style="quiet"),
            )
        return Group(grid)

    def _heartbeat(self) -> None:
        while not self._ending.wait(HEARTBEAT):
            with self._guard:
                for running in self._running.values():
                    if time.monotonic() - running.begun < HEARTBEAT / 2:
                        continue
                    with suppress(OSError):
                        self._print(Text(f"    {running.step.id}: still at work, {running.text()}", style="quiet"))


class Lines:
    """Tells a run as NDJSON events; progress of a step at most once a second."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._guard = threading.Lock()
        self._last: dict[str, float] = {}

    def tell(self, event: Event) -> None:
        with self._guard:
            now = time.monotonic()
            if event.kind == "progress":
                if now - self._last.get(event.step, 0.0) < 1.0:
                    return
                self._last[event.step] = now
            data = {"step": event.step, **event.data} if event.step else event.data
            self._emit(line(event.kind, event.at, message(event) or f"{event.step} {event.kind}".strip(), **data))


def message(event: Event) -> str:
    """What happened, in words; empty for what needs none."""
    data = event.data
    step = event.step
    words = {
        "lease-waiting": f"waits for {data.get('lease', 'a lease')}: {data.get('detail') or data.get('why', 'held')}",
        "lease-lost": f"lost the lease {data.get('lease', '')}: {data.get('why', '')}",
        "retry": f"{step}: tries again in {span(data.get('delay'))}: {data.get('why', '')}",
        "approval-wanted": f"{step} waits for approval: {data.get('question') or data.get('approve', '')}",
        "approved": f"{step} was approved by {data.get('by', 'somebody')}" if step else "",
        "held": f"{step}: {data.get('why', '')}; mend the cause, then resume",
        "asked": f"{step}: a person has to decide: {data.get('question', '')}",
        "rolling-back": f"{step or 'the run'} failed, what was replaced is put back",
        "stopping": f"stopping: {data.get('why', '')}",
        "command-refused": f"a command was refused: {data.get('why', '')}",
        "mirror-late": f"the copy of the journal is late: {data.get('why', '')}",
    }
    return words.get(event.kind, "").rstrip(": ")
