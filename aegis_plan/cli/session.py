"""What one invocation of the command line was asked for: folder, verbosity, colour, form of output. Holds no state of
the product."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Session:
    """Passed to every command as click's `obj`."""

    verbose: int = 0
    color: bool = True
    json: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    """What `--var` gave."""
    plans: Path | None = None
    """The folder of the documents, where `--from` made one."""
    variable_files: list[Path] = field(default_factory=list)

    def console(self, *, stderr: bool = False) -> Console:
        """A terminal to write to; data goes to stdout, everything about the doing to stderr."""
        from aegis_plan.report.terminal import console

        return console(color=self.color, stderr=stderr)

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("AEGIS_INPUT") != "0"


pass_session = click.make_pass_decorator(Session, ensure=True)
