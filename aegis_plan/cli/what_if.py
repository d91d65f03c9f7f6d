"""The options `--what-if-fails` and `--what-if-down` of `plan` and `show`. They look and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aegis_plan.cli.session import Session
    from aegis_plan.plan.plan import Intent, Plan
    from aegis_plan.plan.what_if import SiteDown


def what_if_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds both options."""
    for option in reversed(
        (
            click.option(
                "--what-if-fails",
                "fails",
                metavar="STEP",
                help="Tell instead what would not run, be taken back and stay down if this step failed.",
            ),
            click.option(
                "--what-if-down",
                "down",
                metavar="SITE",
                help="Tell instead what would change if this site were down too.",
            ),
        )
    ):
        function = option(function)
    return function


def answers(plan: Plan, fails: str | None, down: str | None) -> dict[str, Any]:
    """The answers as objects: `what_if_fails` and `what_if_down`, those that were asked for.

    Raises UsageError `step-unknown`, `site-unknown`."""
    found: dict[str, Any] = {}
    if fails is not None:
        from aegis_plan.run.what_if import what_if_fails

        found["what_if_fails"] = what_if_fails(plan, fails)
    if down is not None:
        found["what_if_down"] = site_down(plan, down)
    return found


def site_down(plan: Plan, site: str) -> SiteDown:
    """The plan made anew without a site. Raises UsageError `site-unknown`."""
    from aegis_plan.cli.planning import plan_from, require_known
    from aegis_plan.plan.what_if import what_if_down

    require_known("site", site, plan.documents.sites)

    def make(intent: Intent) -> Plan:
        return plan_from(plan.documents, plan.documents_digest, intent, plan.snapshot, plan.tool)

    return what_if_down(plan, site, make)


def show_answers(session: Session, plan: Plan, found: dict[str, Any]) -> None:
    """Prints the answers for people."""
    from aegis_plan.report.what_if import show_failure, show_site_down

    out = session.console()
    if "what_if_fails" in found:
        show_failure(plan, found["what_if_fails"], out)
    if "what_if_down" in found:
        show_site_down(found["what_if_down"], out)
