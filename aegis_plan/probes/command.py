"""Runs a program whose exit code tells: 0 is healthy, everything else is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aegis_plan.documents.model import CommandCheck
from aegis_plan.errors import AegisError
from aegis_plan.probes.result import Result

Run = Callable[[Sequence[str], float], tuple[int, bytes]]
"""A program and a limit in seconds to exit code and what it said."""
TAIL_CHARACTERS = 200


def check(declared: CommandCheck, text: Callable[[str], str], run: Run) -> Result:
    """`text` resolves secret references. Raises what it raises."""
    try:
        code, said = run([text(word) for word in declared.run], declared.timeout.total_seconds())
    except AegisError as error:
        if error.code == "program-timed-out":
            return Result("fail", error.detail)
        return Result("could_not_verify", error.detail or error.summary)
    if code == 0:
        return Result("pass")
    tail = " ".join(said.decode("utf-8", "replace").split())[-TAIL_CHARACTERS:]
    return Result("fail", f"exit code {code}{': ' + tail if tail else ''}")
