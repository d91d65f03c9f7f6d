"""When each step of a plan begins and ends, what it waits for, and how late it may be: the very order in which the
executor starts steps, run with the expected lengths. It says "at least" wherever a length is not known. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from aegis_plan.plan.course import Course, Graph, course, graph
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.step import PARALLEL, Step

Hold = Literal["", "need", "gate", "resource", "room"]
"""Why a step begins no earlier: a step that it needs, a health gate of a more critical tier, the holder of the same
resource, or a full house (the limit of concurrency)."""

MANY = 50
"""How many names of unknown steps are carried along; more help nobody."""


def expected_length(step: Step) -> tuple[float, bool]:
    """Seconds that a step is expected to take at least, and whether that is all there is to know.

    A step that a person approves takes as long as the person does: only a declared estimate counts that in. Retries
    are not counted."""
    return _length(step, step.estimate.seconds)


def worst_length(step: Step) -> tuple[float, bool]:
    """The same where the step is as slow as its slowest runs (p95); what was not measured takes as long as expected."""
    estimate = step.estimate
    return _length(step, estimate.worst if estimate.worst is not None else estimate.seconds)


def _length(step: Step, seconds: float | None) -> tuple[float, bool]:
    if seconds is None:
        return 0.0, False
    return seconds, not step.approve or step.estimate.basis.startswith("declared")


Length = Callable[[Step], tuple[float, bool]]


class Timing(NamedTuple):
    """One step in time, in seconds from the beginning of the run."""

    step: str
    begin: float
    """At least so late, where `late` names steps of unknown length."""
    end: float
    late: tuple[str, ...]
    """Steps of unknown length before this one, by which it may begin later; at most `MANY`."""
    unknown: bool
    """Whether its own length is not known."""
    slack: float | None
    """How much later it may end without moving the end of all; None when steps of unknown length before or behind it,
    or its own, leave that open."""
    critical: bool
    """Whether it is on the critical path."""
    binding: str
    """The step whose end lets it begin; empty when it begins at once."""
    hold: Hold

    @property
    def exact(self) -> bool:
        """Whether begin and end are known, rather than at-least times."""
        return not self.late and not self.unknown


@dataclass(frozen=True, slots=True)
class Schedule:
    """All steps in time."""

    steps: dict[str, Timing]
    """By id, in the order of the plan."""
    total: float
    """Seconds until the last step ends; at least, when `unknown` is not empty."""
    unknown: tuple[str, ...]
    """All steps of unknown length, in the order of the plan."""
    path: tuple[str, ...]
    """The critical path: each step begins when the one before it ends, and the last ends at `total`. Where lengths
    are unknown, the path through the known ones that is longest."""
    together: tuple[tuple[str, ...], ...]
    """Groups that are on their way at the same time, as they come up; a group of one is none."""
    parallel: int
    """The limit: so many steps run at once at most."""
    full: bool
    """Whether the limit held any step back."""

    @property
    def exact(self) -> bool:
        """Whether all times are known."""
        return not self.unknown

    def way(self, step: str, most: int | None = None) -> tuple[str, ...]:
        """The steps of which each lets the next begin, up to and with `step`; the last `most` of them."""
        found = [step]
        while (before := self.steps[found[-1]].binding) and (most is None or len(found) < most):
            found.append(before)
        return tuple(reversed(found))


def schedule(plan: Plan | Sequence[Step], parallel: int | None = None, length: Length = expected_length) -> Schedule:
    """When everything happens. `plan` is a plan or its steps in order; `parallel` another limit than the plan's."""
    steps, limit = (plan.steps, plan.parallelism) if isinstance(plan, Plan) else (plan, PARALLEL)
    limit = parallel if parallel is not None else limit
    lengths = [length(step) for step in steps]
    net = graph(steps)
    run = course(net, [seconds for seconds, _ in lengths], limit)
    open_ended = [not known for _, known in lengths]
    late = _late(net, run, open_ended, limit)
    ahead, finish = _backwards(net, run, open_ended)
    total = max(run.end[: len(steps)], default=0.0)
    bindings = _bindings(net, run, late)
    path = _path(net, run, late, bindings)
    on_path = set(path)
    ids = [step.id for step in steps]
    timings = {}
    for at, name in enumerate(ids):
        known = not (late[at] or open_ended[at] or ahead[at])
        by, hold = bindings[at]
        timings[name] = Timing(
            name,
            run.begin[at],
            run.end[at],
            late[at],
            open_ended[at],
            max(0.0, finish[at] - run.end[at]) if known else None,
            at in on_path,
            ids[by] if by >= 0 else "",
            hold,
        )
    return Schedule(
        steps=timings,
        total=total,
        unknown=tuple(name for name, is_open in zip(ids, open_ended, strict=True) if is_open),
        path=tuple(ids[at] for at in path),
        together=tuple(tuple(ids[at] for at in group) for group in run.together),
        parallel=limit,
        full=run.full,
    )


def endings(steps: Sequence[Step], parallel: int, length: Length) -> dict[str, float]:
    """When each step ends, and nothing else: for a second look with other lengths."""
    net = graph(steps)
    return dict(zip(net.ids, course(net, [length(step)[0] for step in steps], parallel).end, strict=False))


def _late(net: Graph, run: Course, open_ended: list[bool], limit: int) -> list[tuple[str, ...]]:
    """For each node the steps of unknown length before it, by needs or because they keep room or a resource.

    Only what no unknown length can move is left empty: where room or a resource may run short, other lengths also
    change who comes first, and that can make a step later or earlier."""
    late: list[tuple[str, ...]] = [()] * net.nodes
    if not any(open_ended):
        return late
    first = min(run.turn[at] for at in range(net.steps) if open_ended[at])
    begun: list[str] = []
    for at in run.sequence:
        found: tuple[str, ...] = ()
        for before in net.needs[at]:
            if len(found) >= MANY:
                break
            names = late[before]
            if before < net.steps and open_ended[before]:
                names = _joined(names, (net.ids[before],))
            if names and names != found:
                found = _joined(found, names)
        late[at] = found
        if at < net.steps and open_ended[at] and len(begun) < MANY:
            begun.append(net.ids[at])
    before_all = tuple(begun)
    if _short_of_room(net, run, open_ended, late, limit):
        for at in range(net.steps):
            if run.turn[at] > first and not late[at]:
                late[at] = before_all
        return late
    _over_resources(net, run, open_ended, late, first, before_all)
    return late


def _short_of_room(net: Graph, run: Course, open_ended: list[bool], late: list[tuple[str, ...]], limit: int) -> bool:
    """Whether there are lengths with which a step would have to wait for room."""
    if net.steps <= limit:
        return False
    if run.full:
        return True
    moved = [bool(late[at]) or open_ended[at] for at in range(net.steps)]
    sure = max((sum(1 for at in group if not moved[at]) for group in run.together), default=1)
    # Steps of one chain never run at once, so that the number of chains bounds how many do.
    tails: set[int] = set()
    chains = 0
    for at in run.sequence:
        if at >= net.steps or not moved[at] or net.roomless[at]:
            continue
        tail = next((need for need in net.needs[at] if need in tails), None)
        if tail is None:
            chains += 1
        else:
            tails.remove(tail)
        tails.add(at)
    return sure + chains > limit


def _over_resources(
    net: Graph,
    run: Course,
    open_ended: list[bool],
    late: list[tuple[str, ...]],
    first: int,
    names: tuple[str, ...],
) -> None:
    """Carries on to everything that shares a resource with a step that may move, and to what needs that."""
    sharing: dict[int, list[int]] = {}
    for at in range(net.steps):
        if net.resource[at] >= 0:
            sharing.setdefault(net.resource[at], []).append(at)
    waiting = [at for at in range(net.steps) if late[at] or open_ended[at]]
    seen: set[int] = set()
    while waiting:
        at = waiting.pop()
        on = net.resource[at] if at < net.steps else -1
        moved = list(net.holds[at])
        if on >= 0 and on not in seen:
            seen.add(on)
            moved += [other for other in sharing[on] if run.turn[other] > first]
        for other in moved:
            if not late[other]:
                late[other] = late[at] or names
                waiting.append(other)


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))[:MANY] if first else second


def _backwards(net: Graph, run: Course, open_ended: list[bool]) -> tuple[list[bool], list[float]]:
    """For each node whether something of unknown length comes behind it, and when it must end so that nothing moves."""
    total = max(run.end[: net.steps], default=0.0)
    ahead, finish = [False] * net.nodes, [total] * net.nodes
    for at in reversed(run.sequence):
        begin = finish[at] - (run.end[at] - run.begin[at])
        is_open = ahead[at] or (at < net.steps and open_ended[at])
        befores = [*net.needs[at], run.before_resource[at]]
        if run.full:
            befores.append(run.before_room[at])
        for before in befores:
            if before >= 0:
                finish[before] = min(finish[before], begin)
                ahead[before] = ahead[before] or is_open
    return ahead, finish


def _bindings(net: Graph, run: Course, late: list[tuple[str, ...]]) -> list[tuple[int, Hold]]:
    """For each step the one that lets it begin. Of several that end at that moment, the least certain."""
    found: list[tuple[int, Hold]] = []
    for at in range(net.steps):
        if run.cause[at] >= 0:
            found.append((run.cause[at], "resource" if run.cause[at] == run.before_resource[at] else "room"))
            continue
        best, best_key, hold = -1, (-1.0, -1, -1), ""
        for need in net.needs[at]:
            before, kind = (need, "need") if need < net.steps else (run.last[need], "gate")
            if before < 0:
                continue
            key = (run.end[before], len(late[before]), before)
            if key > best_key:
                best, best_key, hold = before, key, kind
        found.append((best, hold))  # type: ignore[arg-type]
    return found


def _path(net: Graph, run: Course, late: list[tuple[str, ...]], bindings: list[tuple[int, Hold]]) -> tuple[int, ...]:
    if not net.steps:
        return ()
    at = max(range(net.steps), key=lambda step: (run.end[step], len(late[step]), step))
    path = []
    while at >= 0:
        path.append(at)
        at = bindings[at][0]
    return tuple(reversed(path))
