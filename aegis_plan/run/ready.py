"""Which steps may begin: those whose needs are met, most critical tier first. It knows order and nothing of outcomes
but whether a step counts as met.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence

from aegis_plan.errors import AegisError
from aegis_plan.plan.gates import gated
from aegis_plan.plan.step import PHASES, Step


class Ready:
    """The order of one plan's steps, while it is worked off."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = {step.id: step for step in steps}
        self._rank = {step.id: (step.tier, PHASES.index(step.phase), place) for place, step in enumerate(steps)}
        self._waits: dict[str, int] = {}
        self._holds: dict[str, list[str]] = defaultdict(list)
        self._settled: set[str] = set()
        self._heap: list[tuple[tuple[int, int, int], str]] = []
        gates: dict[int, list[str]] = defaultdict(list)
        for step in steps:
            if step.gate:
                gates[step.tier].append(step.id)
        # One stand-in for all gates of a tier keeps the number of edges small.
        for tier, ids in gates.items():
            self._add(_stand_in(tier), ids)
        for step in steps:
            needs = list(dict.fromkeys(step.needs))
            if gated(step):
                needs += [_stand_in(tier) for tier in sorted(gates) if tier < step.tier]
            self._add(step.id, needs)
        self._check(steps)
        for step in steps:
            if not self._waits[step.id]:
                heapq.heappush(self._heap, (self._rank[step.id], step.id))

    def pop(self) -> str | None:
        """The next step that may begin, taken out; None when none may now."""
        while self._heap:
            _, step = heapq.heappop(self._heap)
            if step not in self._settled:
                return step
        return None

    def put_back(self, step: str) -> None:
        """A step that was taken out and could not begin yet."""
        heapq.heappush(self._heap, (self._rank[step], step))

    def settle(self, step: str, met: bool) -> list[str]:
        """Says that a step is over. When it is not `met`, returns all that can never begin now, which count as over
        too, in the order of the plan."""
        if step in self._settled:
            return []
        self._settled.add(step)
        lost: list[str] = []
        work = [(step, met)]
        while work:
            name, good = work.pop()
            for held in self._holds[name]:
                if held in self._settled:
                    continue
                if good:
                    self._waits[held] -= 1
                    if self._waits[held]:
                        continue
                    if held in self._steps:
                        heapq.heappush(self._heap, (self._rank[held], held))
                        continue
                elif held in self._steps:
                    lost.append(held)
                self._settled.add(held)
                work.append((held, good))
        return sorted(lost, key=self._rank.__getitem__)

    def place(self, step: Step) -> int:
        """Where a step stands in the plan."""
        return self._rank[step.id][2]

    def _add(self, name: str, needs: Sequence[str]) -> None:
        self._waits[name] = len(needs)
        for need in needs:
            self._holds[need].append(name)

    def _check(self, steps: Sequence[Step]) -> None:
        if len(self._steps) != len(steps):
            raise _malformed("two steps have the same id")
        for step in steps:
            for need in (*step.needs, *step.builds_on):
                if need not in self._steps:
                    raise _malformed(f"{step.id} needs {need}, which is not in the plan")
        waits = dict(self._waits)
        free = [name for name, count in waits.items() if not count]
        seen = 0
        while free:
            name = free.pop()
            seen += 1
            for held in self._holds[name]:
                waits[held] -= 1
                if not waits[held]:
                    free.append(held)
        if seen != len(waits):
            stuck = sorted(name for name, count in waits.items() if count and name in self._steps)
            raise _malformed(f"these steps wait for each other: {', '.join(stuck[:5])}")


def _stand_in(tier: int) -> str:
    return f"\0gates of tier {tier}"


def _malformed(detail: str) -> AegisError:
    return AegisError(
        "plan-malformed",
        "the plan cannot be carried out as it stands",
        detail,
        "make a new plan; if it repeats, report it with the plan file",
    )
