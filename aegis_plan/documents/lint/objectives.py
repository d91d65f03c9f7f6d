"""Objectives that contradict each other, or that nothing declared can keep: RPO, RTO, MTTR and availability. It knows
what was declared, and nothing of what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Literal

from aegis_plan.documents.lint.course import shortest
from aegis_plan.documents.lint.loss import of_log, of_sets
from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope, keeps_log
from aegis_plan.documents.lint.words import listed, say
from aegis_plan.documents.model import Scenario

_WHICH: tuple[Literal["rto", "rpo"], ...] = ("rto", "rpo")
_NOUN = {"rto": "RTO", "rpo": "RPO"}
_YEAR = timedelta(days=365.25)


@rule("rpo-unreachable", "breach", "a schedule that cannot reach the RPO")
def rpo_unreachable(scope: Scope) -> Iterator[Wrong]:
    from aegis_plan.stores.specs import spec

    for name, store, _ in scope.backups():
        target = scope.store_target(name, "rpo")
        loss = of_log(scope, store) if keeps_log(store) else of_sets(scope, store)
        if target is None or loss is None or not loss.exceeds(target.span):
            continue
        if loss.kind == "log":
            hint = "archive the log more often, or let it flow with 'stream: true'"
        elif spec(store.engine).modes.log:
            hint = "back up its log too, with 'log:' and a schedule or 'stream: true'"
        else:
            hint = f"{store.engine} has whole backups only: take them more often, or put those who use it into a tier "
            hint += "with an RPO that can be kept"
        yield Wrong(
            ("stores", name, "backup", loss.kind, "schedule"),
            f"{name}: {loss.sum}, against {say(target.span)} ({target.place})",
            hint,
        )


@rule("scenario-rpo-unreachable", "breach", "a scenario expects to lose less than backups can give back")
def scenario_rpo_unreachable(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        expected = scenario.expect.rpo
        if expected is None:
            continue
        short: list[str] = []
        for store in scope.affected(scenario):
            declared = scope.documents.stores[store]
            if not _is_restored(scope, scenario, store):
                continue
            loss = of_log(scope, declared) if keeps_log(declared) else of_sets(scope, declared)
            if loss is not None and loss.exceeds(expected):
                short.append(f"{store} is restored from {loss.noun}: {loss.sum}")
        if short:
            yield Wrong(
                ("scenarios", name, "expect", "rpo"),
                f"{'; '.join(short)}; against {say(expected)}",
                "expect what their backups can give back, or back them up more often",
            )


def _is_restored(scope: Scope, scenario: Scenario, store: str) -> bool:
    """Whether nothing but a restore can bring it back."""
    if scenario.strategy == "restore":
        return True
    return scenario.strategy == "failover" and not scope.promotable(scenario, store)


@rule("lag-exceeds-rpo", "breach", "a replica may lie further behind than the RPO allows")
def lag_exceeds_rpo(scope: Scope) -> Iterator[Wrong]:
    for name, store in scope.documents.stores.items():
        target = scope.store_target(name, "rpo")
        for member, declared in store.members.items():
            if target is not None and declared.lag is not None and declared.promote and declared.lag > target.span:
                yield Wrong(
                    ("stores", name, "members", member, "lag"),
                    f"{member} may lie {say(declared.lag)} behind, and a failover to it loses that; against "
                    f"{say(target.span)} ({target.place})",
                    "allow less, or write 'promote: false' so that no failover uses it",
                )


@rule("scenario-exceeds-objectives", "breach", "a scenario allows more than the objectives")
def scenario_exceeds_objectives(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        for which in _WHICH:
            expected, target = getattr(scenario.expect, which), scope.ceiling(scenario, which)
            if expected is not None and target is not None and expected > target.span:
                yield Wrong(
                    ("scenarios", name, "expect", which),
                    f"{name} expects an {_NOUN[which]} of {say(expected)} against {say(target.span)} ({target.place})",
                    "plan it so that it keeps the objective, or promise what this scenario can keep",
                )


@rule("best-misses-objectives", "breach", "even at its best a scenario misses the objectives")
def best_misses_objectives(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        for which in _WHICH:
            best, target = getattr(scenario.best, which), scope.ceiling(scenario, which)
            if best is not None and target is not None and best > target.span:
                yield Wrong(
                    ("scenarios", name, "best", which),
                    f"{name} has an {_NOUN[which]} of {say(best)} when all goes well, against {say(target.span)} "
                    f"({target.place})",
                    "no luck helps here: change how it is recovered, or the objective",
                )


@rule("best-worse-than-expected", "breach", "the best case of a scenario is worse than what it expects")
def best_worse_than_expected(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        for which in _WHICH:
            best, expected = getattr(scenario.best, which), getattr(scenario.expect, which)
            if best is not None and expected is not None and best > expected:
                yield Wrong(
                    ("scenarios", name, "best", which),
                    f"the best {_NOUN[which]} of {name} is {say(best)}, and {say(expected)} is expected",
                    "one of the two is wrong; they may have been exchanged",
                )


@rule("tier-looser-than-system", "breach", "a tier allows more than the system's objective")
def tier_looser_than_system(scope: Scope) -> Iterator[Wrong]:
    for name, tier in scope.documents.tiers.items():
        for which in _WHICH:
            own, whole = getattr(tier, which), getattr(scope.documents.system.objectives, which)
            if own is not None and whole is not None and own > whole:
                yield Wrong(
                    ("tiers", name, which),
                    f"tier {name} may take {say(own)}, the whole system {say(whole)} (system.objectives.{which})",
                    "make the tier stricter, or the system's objective as loose as its loosest tier",
                )


@rule("tiers-out-of-order", "breach", "a tier promises more than a more critical one")
def tiers_out_of_order(scope: Scope) -> Iterator[Wrong]:
    numbers = sorted(int(name) for name in scope.documents.tiers)
    for which in _WHICH:
        targets = [(number, target) for number in numbers if (target := scope.tier_target(number, which)) is not None]
        for (above, first), (below, second) in pairwise(targets):
            if second.span < first.span:
                yield Wrong(
                    ("tiers", str(below), which),
                    f"tier {below} has an {_NOUN[which]} of {say(second.span)}, and tier {above}, which comes first, "
                    f"{say(first.span)} ({first.place})",
                    "the more critical tier needs the stricter objective; or exchange what stands in them",
                )


@rule("dependency-slower", "breach", "a service promises more than what it cannot do without")
def dependency_slower(scope: Scope) -> Iterator[Wrong]:
    services = scope.documents.services
    for name, service in services.items():
        for index, used in enumerate(service.uses):
            if used not in services:
                continue  # a store has the objectives of its most critical user
            for which in _WHICH:
                own = scope.tier_target(service.tier, which)
                other = scope.tier_target(services[used].tier, which)
                if own is not None and other is not None and own.span < other.span:
                    yield Wrong(
                        ("services", name, "uses", index),
                        f"{name} has an {_NOUN[which]} of {say(own.span)} ({own.place}) and uses {used}, which has "
                        f"{say(other.span)} ({other.place})",
                        f"it cannot be back before {used} is: give both one objective"
                        if which == "rto"
                        else f"it cannot have lost less than {used} has: give both one objective",
                    )


@rule("mttr-exceeds-rto", "breach", "the mean time to recovery is longer than the longest one allowed")
def mttr_exceeds_rto(scope: Scope) -> Iterator[Wrong]:
    objectives = scope.documents.system.objectives
    if objectives.mttr is not None and objectives.rto is not None and objectives.mttr > objectives.rto:
        yield Wrong(
            ("system", "objectives", "mttr"),
            f"a mean of {say(objectives.mttr)} with no recovery above {say(objectives.rto)} "
            "(system.objectives.rto) cannot be",
            "a mean lies below the longest: exchange them, or correct one",
        )


@rule("availability-spent", "note", "the availability leaves less time than the disasters that are planned for")
def availability_spent(scope: Scope) -> Iterator[Wrong]:
    objectives = scope.documents.system.objectives
    if objectives.availability is None:
        return
    left = _YEAR * (100 - objectives.availability) / 100
    budget = timedelta(minutes=round(left.total_seconds() / 60))
    expected = {name: one.expect.rto for name, one in scope.documents.scenarios.items() if one.expect.rto is not None}
    share = f"{objectives.availability:.12g}% of a year leaves about {say(budget)}"
    spent = sum(expected.values(), timedelta())
    if objectives.rto is not None and objectives.rto > left:
        detail = f"{share}, and one outage as long as the RTO allows takes {say(objectives.rto)}"
    elif spent > left:
        detail = f"{share}; each scenario once in a year takes {' + '.join(say(one) for one in expected.values())}"
        detail += f" = {say(spent)} ({listed(expected)})"
    else:
        return
    if objectives.mttr:
        detail += f"; the MTTR of {say(objectives.mttr)} fits in {int(left / objectives.mttr)} times"
    yield Wrong(
        ("system", "objectives", "availability"),
        detail,
        "promise what is left when a disaster comes, or say how often it may come",
    )


@rule("estimates-exceed-rto", "breach", "the steps of a scenario take longer than its RTO by their own estimates")
def estimates_exceed_rto(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        target = scope.scenario_target(scenario, name, "rto")
        course = shortest(scope.documents, scenario)
        if target is None or course.span <= target.span:
            continue
        decides = course.steps == ("decide",)
        yield Wrong(
            ("scenarios", name, "decide") if decides else ("scenarios", name, "steps"),
            f"{course.sum}, not counting what is restored and started; against {say(target.span)} ({target.place})",
            "decide sooner, let steps run side by side, or allow more",
            key=not decides,
        )
