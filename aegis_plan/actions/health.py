"""The step `health`: waits until every check of a service passes. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.documents.model import Health as Declared
from aegis_plan.errors import AegisError
from aegis_plan.probes import health as probes
from aegis_plan.probes.result import Result

BETWEEN_SECONDS = 1.0


def check(context: Context, declared: Declared) -> Result:
    """All checks once, as this site sees them."""

    def run(command: Sequence[str], seconds: float) -> tuple[int, bytes]:
        done = context.children().run(command, timeout=seconds)
        return done.code, done.stderr or done.stdout

    return probes.check(declared, context.secrets.text, run)


class Health:
    """Params: `service`."""

    kind = "health"

    def probe(self, context: Context) -> Probed:
        result = check(context, _declared(context))
        return Probed("satisfied" if result.verdict == "pass" else "needed", result.reason)

    def act(self, context: Context) -> Done:
        declared = _declared(context)
        begun = context.clock.monotonic()
        limit = declared.within.total_seconds()
        tries = 0
        while True:
            context.check()
            tries += 1
            result = check(context, declared)
            passed = context.clock.monotonic() - begun
            if result.verdict == "pass":
                return Done({"seconds": round(passed, 3), "tries": tries})
            context.progress(result.reason[:120], int(passed), int(limit), unit="s")
            if passed >= limit:
                raise _unhealthy(context, result, limit)
            wake = context.clock.monotonic() + min(BETWEEN_SECONDS, limit - passed)
            while context.clock.monotonic() < wake:
                context.check()
                context.clock.sleep(0.05)

    def undo(self, context: Context) -> Done:
        return Done()


def _declared(context: Context) -> Declared:
    name = str(context.attempt.params["service"])
    service = context.declared.services.get(name)
    if service is None or service.health is None:
        raise AegisError(
            "health-not-declared",
            "a service has no health checks",
            name,
            f"add services.{name}.health, or leave the gate out",
        )
    return service.health


def _unhealthy(context: Context, result: Result, limit: float) -> AegisError:
    name = context.attempt.params["service"]
    if result.verdict == "fail":
        return AegisError(
            "health-failed",
            "a service did not become healthy in time",
            f"{name} within {limit:g} s: {result.reason}",
            f"look at the service, then resume; services.{name}.health.within gives it more time",
        )
    return AegisError(
        "health-unverified",
        "nobody could see whether a service is healthy",
        f"{name} within {limit:g} s: {result.reason}",
        "see that this site can reach the address of the check, then resume",
    )
