"""Random plans for tests of what is calculated on them: small, with fixed seeds, and with everything that decides when
a step begins."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from aegis_plan.plan.order import ordered
from aegis_plan.plan.step import PHASES, Estimate, Step

UNKNOWN = Estimate()


@dataclass(frozen=True)
class Kind:
    """What a random plan may hold."""

    most: int = 12
    resources: bool = True
    unknown: bool = True
    gates: bool = True
    people: bool = True


def random_steps(seed: int, kind: Kind = Kind()) -> tuple[Step, ...]:
    """Steps in the order of a plan."""
    dice = Random(seed)
    made: list[Step] = []
    for number in range(dice.randint(1, kind.most)):
        phase = dice.choice(PHASES)
        person = kind.people and dice.random() < 0.15
        earlier = [step.id for step in made]
        fields: dict[str, Any] = {
            "id": f"s{number:02d}",
            "action": "manual" if person and dice.random() < 0.5 else "command",
            "title": f"step {number}",
            "reason": "a test asks for it",
            "site": dice.choice(("seoul", "busan")),
            "tier": dice.randint(1, 3),
            "phase": phase,
            "subject": f"subject-{dice.randint(0, 3)}",
            "resource": dice.choice(("", "", "db/data", "db/log")) if kind.resources else "",
            "needs": tuple(dice.sample(earlier, min(len(earlier), dice.choice((0, 1, 1, 2, 3))))),
            "symbol": "+",
            "reversible": True,
            "retry_delay": 0.01,
            "gate": False,
            "approve": "is it well?" if person else "",
            "estimate": Estimate(seconds=float(dice.randint(0, 9)), basis="declared"),
        }
        if kind.gates and phase == "services" and dice.random() < 0.4:
            fields["gate"] = True
        if kind.unknown and dice.random() < 0.15:
            fields["estimate"] = UNKNOWN
        made.append(Step(**fields))
    return untangled(made)


def untangled(steps: list[Step]) -> tuple[Step, ...]:
    """The steps in order, with the needs left out that would go round in a circle through a gate."""
    from aegis_plan.errors import AegisError
    from aegis_plan.run.ready import Ready

    while True:
        try:
            line = ordered(steps)
            Ready(line)
            return line
        except AegisError:
            with_needs = [at for at, step in enumerate(steps) if step.needs]
            last = with_needs[-1]
            steps[last] = steps[last].model_copy(update={"needs": steps[last].needs[1:]})


def waits(steps: tuple[Step, ...]) -> dict[str, set[str]]:
    """What each step waits for, all gates one by one: written down once more, straight from the rule."""
    return {
        step.id: {
            *step.needs,
            *(
                other.id
                for other in steps
                if other.gate and other.tier < step.tier and step.phase in ("services", "traffic") and not step.gate
            ),
        }
        for step in steps
    }


def played(steps: tuple[Step, ...], lengths: dict[str, float], parallel: int) -> dict[str, tuple[float, float]]:
    """Begin and end of every step, by looking at everything again at every moment at which something ends."""
    need, now = waits(steps), 0.0
    times: dict[str, tuple[float, float]] = {}
    running: list[Step] = []
    over: set[str] = set()
    rank = {step.id: (step.tier, PHASES.index(step.phase), at) for at, step in enumerate(steps)}
    while len(over) < len(steps):
        for step in sorted(steps, key=lambda step: rank[step.id]):
            room = sum(1 for other in running if not (other.action == "manual" and other.approve)) < parallel
            if step.id in times or not need[step.id] <= over:
                continue
            if not room:
                break
            if step.resource and any((other.site, other.resource) == (step.site, step.resource) for other in running):
                continue
            times[step.id] = (now, now + lengths[step.id])
            running.append(step)
        now = min(times[step.id][1] for step in running)
        over |= {step.id for step in running if times[step.id][1] == now}
        running = [step for step in running if step.id not in over]
    return times
