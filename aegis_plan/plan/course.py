"""The executor's rules of order as a calculation: given the length of each step, when each begins. Most critical first,
as many at once as the limit allows, one at a time on a resource. Pure; it knows nothing of what lengths mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from aegis_plan.plan.gates import gate_tiers, gated
from aegis_plan.plan.step import PHASES, Step


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps as numbers, and what each waits for. Behind the steps stands one node for the gates of each tier: an
    edge from every gate to every step that it holds back would be too many."""

    steps: int
    nodes: int
    ids: list[str]
    needs: list[list[int]]
    holds: list[list[int]]
    """The same the other way round."""
    rank: list[tuple[int, int, int]]
    resource: list[int]
    """The number of the resource that a step keeps to itself at its site; -1 is none."""
    resources: int
    roomless: list[bool]
    """A question to a person is put when there is room, and takes nobody's place."""


@dataclass(frozen=True, slots=True)
class Course:
    """What happened when. Times are seconds from the beginning, numbers those of the graph's nodes; -1 is none."""

    begin: list[float]
    end: list[float]
    cause: list[int]
    """The step whose end let it begin, where it waited for a resource or for room after all its needs were met."""
    before_resource: list[int]
    """The step that held the same resource before."""
    before_room: list[int]
    """The step that had the same place among those that run at once."""
    last: list[int]
    """For the node of a tier's gates: the gate that ended last."""
    sequence: list[int]
    """All nodes as they began."""
    turn: list[int]
    """In which turn of looking for steps that may begin it began."""
    together: list[tuple[int, ...]]
    """Groups on their way at the same time."""
    full: bool
    """Whether a step had to wait for room."""


def graph(steps: Sequence[Step]) -> Graph:
    """The steps of a plan, in order, with everything that they wait for."""
    places = {step.id: at for at, step in enumerate(steps)}
    tiers = gate_tiers(steps)
    stand_in = {tier: len(steps) + at for at, tier in enumerate(tiers)}
    nodes = len(steps) + len(tiers)
    needs: list[list[int]] = [[] for _ in range(nodes)]
    held: dict[tuple[str, str], int] = {}
    resource = [-1] * len(steps)
    for at, step in enumerate(steps):
        needs[at] = [places[need] for need in dict.fromkeys(step.needs)]
        if gated(step):
            needs[at] += [stand_in[tier] for tier in tiers if tier < step.tier]
        if step.gate:
            needs[stand_in[step.tier]].append(at)
        if step.resource:
            resource[at] = held.setdefault((step.site, step.resource), len(held))
    holds: list[list[int]] = [[] for _ in range(nodes)]
    for at, befores in enumerate(needs):
        for before in befores:
            holds[before].append(at)
    phase = {name: place for place, name in enumerate(PHASES)}
    return Graph(
        steps=len(steps),
        nodes=nodes,
        ids=[step.id for step in steps],
        needs=needs,
        holds=holds,
        rank=[(step.tier, phase[step.phase], at) for at, step in enumerate(steps)],
        resource=resource,
        resources=len(held),
        roomless=[step.action == "manual" and bool(step.approve) for step in steps],
    )


def course(net: Graph, length: Sequence[float], parallel: int) -> Course:
    """When each step begins and ends, as the executor would do it."""
    begin, end = [0.0] * net.nodes, [0.0] * net.nodes
    cause, last = [-1] * net.nodes, [-1] * net.nodes
    before_resource, before_room = [-1] * net.nodes, [-1] * net.nodes
    met_at = [0.0] * net.nodes
    waits = [len(needs) for needs in net.needs]
    ready = [(*net.rank[at], at) for at in range(net.steps) if not waits[at]]
    ready.sort()
    parked: list[list[tuple[int, int, int, int]]] = [[] for _ in range(net.resources)]
    holder, holding = [-1] * net.resources, [False] * net.resources
    # The place that is free longest is taken first, so that no step seems to wait for one that it need not wait for.
    places: deque[int] = deque([-1] * min(parallel, net.steps))
    running: list[tuple[float, int]] = []
    flying: dict[int, None] = {}
    sequence: list[int] = []
    together: list[tuple[int, ...]] = []
    turn, turns = [-1] * net.nodes, 0
    full, now = False, 0.0
    while True:
        begun, turns = False, turns + 1
        while ready:
            place = ready[0][3]
            if not places:
                full = True
                break
            heappop(ready)
            on = net.resource[place]
            if on >= 0 and holding[on]:
                heappush(parked[on], (*net.rank[place], place))
                continue
            if on >= 0:
                before_resource[place], holder[on], holding[on] = holder[on], place, True
            if not net.roomless[place]:
                before_room[place] = places.popleft()
            elif met_at[place] < now:
                before_room[place] = places[-1]
            if met_at[place] < now:
                by_resource = before_resource[place]
                cause[place] = by_resource if by_resource >= 0 and end[by_resource] == now else before_room[place]
            begin[place], end[place] = now, now + length[place]
            heappush(running, (end[place], place))
            flying[place] = None
            sequence.append(place)
            turn[place], begun = turns, True
        if begun and len(flying) > 1:
            together.append(tuple(flying))
        if not running:
            break
        now = running[0][0]
        while running and running[0][0] == now:
            _, place = heappop(running)
            del flying[place]
            if not net.roomless[place]:
                places.append(place)
            on = net.resource[place]
            if on >= 0:
                holding[on] = False
                if parked[on]:
                    heappush(ready, heappop(parked[on]))
            settled = [place]
            while settled:
                done = settled.pop()
                for held in net.holds[done]:
                    waits[held] -= 1
                    if held >= net.steps:
                        last[held] = done
                    if waits[held]:
                        continue
                    met_at[held] = now
                    if held < net.steps:
                        heappush(ready, (*net.rank[held], held))
                    else:
                        begin[held] = end[held] = now
                        sequence.append(held)
                        settled.append(held)
    return Course(begin, end, cause, before_resource, before_room, last, sequence, turn, together, full)
