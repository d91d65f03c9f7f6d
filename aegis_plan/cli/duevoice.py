"""What one due run says on the terminal or as events. It writes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aegis_plan.cli.wire import World
    from aegis_plan.errors import AegisError
    from aegis_plan.schedule.job import Aspect


class Voice:
    """Of one store in one due run."""

    def __init__(self, world: World, store: str, aspect: Aspect, name: str, as_json: bool) -> None:
        self.name = name
        """What people read it by."""
        self._world, self._store, self._aspect, self._json = world, store, aspect, as_json

    def warn(self, error: AegisError) -> None:
        """An error that ended the run."""
        self.complain(f"{error.summary}: {error.detail}" if error.detail else error.summary)

    def complain(self, words: str) -> None:
        """What went wrong and changes nothing of how the run ended."""
        from aegis_plan.report.visible import visible

        click.echo(f"warning: {self.name}: {visible(self._world.here.secrets.redact(words))}", err=True)

    def say(self, kind: str, message: str, **data: Any) -> None:
        """An event, or a line of text; the end of a run that had nothing to do is an event alone."""
        from aegis_plan.report.events import line
        from aegis_plan.report.visible import visible

        if self._json:
            click.echo(line(kind, self._world.clock.now(), message, store=self._store, aspect=self._aspect, **data))
        elif kind != "due-ended" or data.get("due"):
            click.echo(f"{self._world.clock.now():%Y-%m-%dT%H:%M:%SZ} {visible(message)}")
