"""Plans of any size for tests of reports, made by hand."""

from __future__ import annotations

from aegis_plan.documents.model import Documents
from aegis_plan.plan.plan import Forecast, Plan, PlanFinding
from aegis_plan.plan.step import Estimate, Fact, Step
from tests.cli.test_plan_text import plan

HOSTILE = '<script>alert("x")</script>[a](http://evil.example)|`b`@all #1'
DOCUMENTS = Documents.model_validate(
    {
        "system": {"name": "aegis", "timezone": "Asia/Seoul"},
        "tiers": {"1": {"name": "critical"}, "2": {"name": "important"}, "3": {"name": "standard"}},
    }
)
_SYMBOLS = ("+", "~", "~", "-/+", "~", "<=")


def _step(at: int, count: int, words: str) -> Step:
    group, turn = divmod(at, 6)
    needs = [f"s{group}.{turn - 1}"] if turn else [f"s{group - 5}.5"] if group >= 5 else []
    form = {
        "id": f"s{group}.{turn}", "action": "x", "title": f"do {turn} for store-{group} {words}",
        "reason": f"because {words}", "site": ("seoul", "busan")[at % 2], "tier": 1 + at * 3 // count,
        "phase": "data" if turn < 4 else "services", "symbol": _SYMBOLS[turn], "reversible": turn != 4,
        "destructive": turn in (2, 3), "subject": f"store-{group}", "needs": tuple(needs),
        "approve": f"commander {words}" if at == 4 else "",
        "estimate": Estimate() if at % 17 == 5 else Estimate(seconds=30.0 * (turn + 1), basis="measured 4 times"),
        "facts": (Fact(name=f"store-{group}/primary {words}", value=words),),
    }  # fmt: skip
    return Step.model_validate(form)


def made(count: int, words: str = "") -> Plan:
    """A plan of so many steps in three tiers; `words` stand in everything that people can name."""
    return plan(
        *(_step(at, count, words) for at in range(count)),
        documents=DOCUMENTS,
        system=f"aegis {words}",
        choices=(f"restore {words}",),
        findings=(
            PlanFinding(
                severity="warning", code="x-y", summary=f"careful {words}", detail=words, hint=words, place=words
            ),
        ),
        forecasts=(
            Forecast(
                subject=f"tier 1 {words}", about="tier", objective="rto", target=3600, expected=None, basis=words,
                verdict="could_not_verify", evidence=(words,),
            ),
        ),
    )  # fmt: skip
