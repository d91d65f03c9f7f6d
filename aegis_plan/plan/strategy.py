"""How each store comes back: by failover, by restore, or not at all because it still serves; and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from aegis_plan.documents.model import Documents, Scenario
from aegis_plan.documents.scalars import span
from aegis_plan.plan.forecast import objective
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.stores.contract import Ask, Candidate, Recipe, StoreSpec, Target
from aegis_plan.stores.specs import spec


@dataclass(frozen=True)
class Wish:
    """What was asked for of one store."""

    strategy: str
    target: Target
    member: str | None = None
    """The server that should take it over; None: the planner chooses."""
    restore_to: str | None = None
    """The server that takes a restore, as the scenario says."""
    beside: str | None = None
    struck: bool = False
    """Whether the store itself is struck, and not only a site at which it has a server."""
    struck_sites: tuple[str, ...] = ()
    spoiled: bool = False
    """Whether its replicas have what the disaster did to the data."""

    @property
    def back_in_time(self) -> bool:
        return self.target != Target()


@dataclass(frozen=True)
class Way:
    """How one store comes back."""

    kind: Literal["failover", "restore", "leave"]
    recipe: Recipe


def choose(ask: Ask, wish: Wish, scenario: Scenario | None = None) -> Way:
    """The way that the strategy asks for; `auto` and `partial` weigh what was seen."""
    engine = spec(ask.store.engine)
    if wish.beside is not None or wish.strategy == "restore":
        return _restore(ask, engine, wish)
    stands = _stands(ask, wish)
    if stands is not None:
        return _said(Way("leave", Recipe()), f"partial: {ask.name} is left alone, {stands}")
    if wish.back_in_time:
        return _said(_restore(ask, engine, wish), f"restore: {ask.name} goes back in time, which no failover can do")
    if not engine.modes.failover:
        return _without_replicas(ask, engine, wish)
    offered = _offered(ask, engine, wish)
    if wish.strategy == "failover":
        return _failover(ask, engine, wish, offered)
    if wish.spoiled:
        why = f"restore: a replica of {ask.name} has what the disaster did to it"
        return _said(_restore(ask, engine, wish), why)
    return _weighed(ask, engine, wish, offered, objective(ask.documents, ask.tier, "rpo", scenario))


def _restore(ask: Ask, engine: StoreSpec, wish: Wish) -> Way:
    member = wish.member or wish.restore_to
    recipe = engine.recover(ask, wish.target, member=member, beside=wish.beside)
    if wish.member is None and wish.restore_to is not None and wish.beside is None:
        choice = f"{ask.name}: {wish.restore_to} takes the restore, as the scenario says"
        recipe = replace(recipe, choices=(choice, *recipe.choices))
    return Way("restore", recipe)


def _stands(ask: Ask, wish: Wish) -> str | None:
    """Why a store needs nothing: only a site of its was struck, and its primary is elsewhere and seen."""
    primary = ask.look.primary
    if wish.struck or wish.spoiled or primary is None or primary.site in wish.struck_sites:
        return None
    return f"{primary.member} is its primary and its site {primary.site} is not struck"


def _without_replicas(ask: Ask, engine: StoreSpec, wish: Wish) -> Way:
    way = _restore(ask, engine, wish)
    if wish.strategy != "failover":
        return _said(way, f"restore: {ask.name} is of engine {engine.engine}, which has no replica to promote")
    told = _problem(
        ask,
        "warning",
        "failover-restores",
        "a store that cannot fail over is restored from backup",
        f"{ask.name} is of engine {engine.engine}, which has no replica to promote; what it lost since its newest set "
        "is lost",
        "write 'strategy: auto', which says the same without this warning",
    )
    return replace(way, recipe=replace(way.recipe, findings=(told, *way.recipe.findings)))


def _offered(ask: Ask, engine: StoreSpec, wish: Wish) -> Sequence[Candidate]:
    found = engine.candidates(ask)
    return [one for one in found if one.member == wish.member] if wish.member is not None else found


def _failover(ask: Ask, engine: StoreSpec, wish: Wish, offered: Sequence[Candidate]) -> Way:
    """As the scenario says, whatever it costs; a replica that nobody sees is planned with and never promoted."""
    best = next((one for one in offered if not one.refusal), None)
    rest = next((one for one in offered if not one.seen), None)
    if best is not None:
        way = Way("failover", engine.fail_over(ask, best.member))
        if wish.spoiled:
            told = _problem(
                ask,
                "warning",
                "failover-carries-damage",
                "a replica has what the disaster did to the data",
                f"{best.member} of {ask.name} follows the primary, also in what is wrong",
                "write 'strategy: restore', and give the time with --before",
            )
            way = replace(way, recipe=replace(way.recipe, findings=(told, *way.recipe.findings)))
        return _said(way, f"failover: {_why(best)}")
    if rest is not None:
        recipe = engine.fail_over(ask, rest.member)
        told = _problem(
            ask,
            "error",
            "replica-not-seen",
            "nobody sees the replica that would be promoted",
            f"{rest.member} of {ask.name}: {rest.refusal}",
            "make the plan again where its site answers; '--strategy restore' goes back to backups",
        )
        return Way("failover", replace(recipe, findings=(told, *recipe.findings)))
    told = _problem(
        ask,
        "error",
        "failover-impossible",
        "no replica can take the primary's place",
        f"{ask.name}: {_refusals(ask, wish, offered)}",
        "name another with --member; '--strategy restore' goes back to backups"
        if wish.member is not None
        else "'--strategy restore' goes back to backups",
    )
    return Way("failover", Recipe(findings=(told,)))


def _weighed(ask: Ask, engine: StoreSpec, wish: Wish, offered: Sequence[Candidate], rpo: timedelta | None) -> Way:
    best = next((one for one in offered if not one.refusal), None)
    back = _restore(ask, engine, wish)
    if best is None:
        return _said(back, f"restore: no replica of {ask.name} can be promoted: {_refusals(ask, wish, offered)}")
    possible = bool(back.recipe.steps) and not any(one.severity == "error" for one in back.recipe.findings)
    lost = None
    if possible and back.recipe.point is not None:
        lost = max(0.0, (ask.now - back.recipe.point.not_after).total_seconds())
    most = rpo.total_seconds() if rpo is not None else None
    if lost is not None and best.lag is None and most is not None and lost <= most:
        why = (
            f"restore: how far {best.member} of {ask.name} lies behind is not known, and a restore loses no more than "
        )
        return _said(back, why + "the objective allows")
    if lost is not None and best.lag is not None and most is not None and best.lag > most and lost < best.lag:
        why = f"restore: {best.member} of {ask.name} is {span(best.lag)} behind, more than the objective allows; "
        return _said(back, why + f"a restore loses {span(lost)}")
    over = engine.fail_over(ask, best.member)
    if possible and not all(step.built for step in over.steps):
        # A plan that can be applied is worth more in a disaster than a better one that cannot.
        why = f"restore: {_why(best)}, and this version cannot fail over to it yet; {_cost(back, possible, lost)}"
        return _said(back, why + "; '--strategy failover' plans the promotion to be read")
    others = [one for one in offered if one.refusal]
    text = f"failover: {_why(best)}; {_cost(back, possible, lost)}"
    if others:
        text += f"; not chosen: {_refusals(ask, wish, others)}"
    return _said(Way("failover", over), text)


def _why(best: Candidate) -> str:
    behind = f"{span(best.lag)} behind" if best.lag is not None else "and nobody knows how far behind"
    return f"{best.member} is a replica {behind} and its site {best.site} is not struck"


def _refusals(ask: Ask, wish: Wish, offered: Sequence[Candidate]) -> str:
    told = "; ".join(f"{one.member}: {one.refusal}" for one in offered if one.refusal)
    if told or wish.member is None:
        return told or "it has no other member"
    if wish.member not in ask.store.members:
        return f"{wish.member} is no member of it"
    # All but a lone primary are offered.
    return f"{wish.member}, which --member names, is its primary already"


def _cost(back: Way, possible: bool, lost: float | None) -> str:
    if not possible:
        return "a restore is not possible now"
    seconds, unknown = takes(back.recipe)
    text = "a restore would take "
    if unknown:
        text += f"at least {span(seconds)} ({unknown} steps of unknown length)" if seconds else "nobody knows how long"
    else:
        text += f"about {span(seconds)}"
    return text + (f" and lose {span(lost)}" if lost is not None else "")


def takes(recipe: Recipe) -> tuple[float, int]:
    """Seconds until a store serves, one step after the other, and how many of the steps are of unknown length."""
    seconds, unknown = 0.0, 0
    for step in recipe.steps:
        seconds += step.estimate.seconds or 0.0
        unknown += step.estimate.seconds is None
        if step.id == recipe.serves:
            break
    return seconds, unknown


def _said(way: Way, why: str) -> Way:
    return replace(way, recipe=replace(way.recipe, choices=(why, *way.recipe.choices)))


def _problem(ask: Ask, severity: str, code: str, summary: str, detail: str, hint: str) -> PlanFinding:
    return PlanFinding.model_validate(
        {
            "severity": severity,
            "code": code,
            "summary": summary,
            "detail": detail,
            "hint": hint,
            "subject": ask.name,
        }
    )


def well(documents: Documents, healthy: frozenset[str], recovered: frozenset[str], service: str) -> bool:
    """Whether a partial recovery may leave a service alone: it is seen healthy, and so is all that it uses."""
    waiting, seen = [service], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in recovered or (name in documents.services and name not in healthy):
            return False
        if name in documents.services:
            waiting.extend(documents.services[name].uses)
    return True
