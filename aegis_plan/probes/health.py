"""All checks of a service together: it is healthy when every one of them passes."""

from __future__ import annotations

from collections.abc import Callable

from aegis_plan.documents.model import Health
from aegis_plan.errors import AegisError
from aegis_plan.probes.command import Run
from aegis_plan.probes.result import Result


def check(declared: Health, text: Callable[[str], str], run: Run) -> Result:
    """One failed check is a failure, whatever the others could not see."""
    results: list[tuple[str, Result]] = []
    try:
        if declared.http is not None:
            from aegis_plan.probes import http

            results.append(("http", http.check(declared.http, text)))
        if declared.tcp is not None:
            from aegis_plan.probes import tcp

            results.append(("tcp", tcp.check(declared.tcp, text)))
        if declared.command is not None:
            from aegis_plan.probes import command

            results.append(("command", command.check(declared.command, text, run)))
    except AegisError as error:
        results.append(("secrets", Result("could_not_verify", error.detail or error.summary)))
    if not results:
        return Result("could_not_verify", "no check is declared")
    for verdict in ("fail", "could_not_verify"):
        found = [f"{name}: {result.reason}" for name, result in results if result.verdict == verdict]
        if found:
            return Result("fail" if verdict == "fail" else "could_not_verify", "; ".join(found))
    return Result("pass")
