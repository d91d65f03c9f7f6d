"""Steps as a drawing: those of a plan with its critical path, or what a scenario would set in motion. Pure.

A plan needs a look at the world. Without one the steps of a store are not known, so a scenario shows one box for
them and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aegis_plan.documents.model import Documents, Scenario
from aegis_plan.documents.scalars import span
from aegis_plan.errors import UsageError
from aegis_plan.plan.gates import gate_tiers, gated
from aegis_plan.plan.order import ordered
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.schedule import Schedule, schedule
from aegis_plan.plan.services import concerned, dependents, own_steps, service_steps
from aegis_plan.plan.step import Estimate, Step
from aegis_plan.report.drawing import Drawing, DrawnEdge, DrawnNode, drawing
from aegis_plan.report.graph_system import tier_names
from aegis_plan.topology.graph import tier_of_store


def draw_plan(plan: Plan) -> Drawing:
    """Every step of the plan and what it waits for."""
    timed = schedule(plan)
    path = timed.path if timed.total else ()
    what = plan.intent.scenario or plan.intent.kind
    count = len(plan.steps)
    title = f"{plan.system}: plan {what}, {count} step{'' if count == 1 else 's'}"
    notes = []
    if path:
        length = f"{'' if timed.exact else 'at least '}{span(timed.total)}"
        open_ = len(timed.unknown)
        more = f"; {open_} step{'' if open_ == 1 else 's'} of unknown length can change it" if open_ else ""
        notes.append(f"Critical path: {len(path)} of {count} steps, {length}{more}.")
    elif plan.steps:
        notes.append("No step has a known length, so there is no critical path.")
    marked = set(path)
    nodes = [_step_node(step, step.id in marked, slack=timed.steps[step.id].slack) for step in plan.steps]
    return drawing(
        "plan",
        title,
        nodes,
        _edges(plan.steps, path, _gates(plan.steps, timed)),
        tiers=tier_names(plan.documents),
        notes=notes,
    )


def draw_scenario(documents: Documents, name: str) -> Drawing:
    """The stores that the scenario concerns, the services that hang on them, and the steps of its own.

    Raises UsageError `scenario-unknown`, and what `plan.order.ordered` raises for steps that no order fits."""
    scenario = documents.scenarios.get(name)
    if scenario is None:
        declared = ", ".join(sorted(documents.scenarios)) or "none"
        raise UsageError(
            "scenario-unknown",
            "no such scenario",
            f"'{name}' is not declared; there are: {declared}",
            "see 'aegis graph'",
        )
    down = scenario.lost_sites
    home = next((site for site in documents.sites if site not in down), next(iter(documents.sites), ""))
    stores = tuple(concerned(documents, Intent(kind="recover", scenario=name), scenario))
    steps = [_store_step(documents, store, home) for store in stores]
    accepted = {step.subject: step.id for step in steps}
    hanging = dependents(documents, stores, scenario.affects.services)
    steps += service_steps(documents, hanging, accepted, home, down, _nothing_measured)
    line = ordered(own_steps(documents, scenario, steps, accepted, home, _nothing_measured))
    hit = _hit(documents, scenario, down)
    nodes = [_step_node(step, False, hit=step.phase == "data" and step.subject in hit) for step in line]
    title = f"{documents.system.name}: scenario {name} (disruption {scenario.disruption}, strategy {scenario.strategy})"
    struck = [*scenario.affects.sites, *scenario.affects.stores, *scenario.affects.services]
    notes = [f"Affected: {', '.join(struck) or 'everything'}."]
    if stores:
        notes.append("What brings a store back depends on what is there then: 'aegis plan' shows those steps.")
    return drawing(
        "scenario",
        title,
        nodes,
        _edges(line, (), _gates(line, schedule(line))),
        tiers=tier_names(documents),
        notes=notes,
    )


def _edges(steps: Sequence[Step], path: Sequence[str], gates: Mapping[str, str]) -> list[DrawnEdge]:
    """What each step waits for; on the critical path that can also be a lock or a place among those that run at
    once."""
    along = set(zip(path[1:], path))
    pairs = [(step.id, need) for step in steps for need in (*step.needs, *step.builds_on)]
    declared, waits = {*pairs}, gates.items()
    return [
        DrawnEdge(*pair, critical=pair in along, gate=pair in waits and pair not in declared)
        for pair in dict.fromkeys((*pairs, *waits, *sorted(along)))
    ]


def _gates(steps: Sequence[Step], timed: Schedule) -> dict[str, str]:
    """For each step that health gates hold back the one of them that opens last: an edge from every gate would be too
    many. Of several it is the one that the schedule names."""
    found, open_last = {}, {}
    place = {step.id: at for at, step in enumerate(steps)}
    for tier in gate_tiers(steps):
        ends = [timed.steps[step.id] for step in steps if step.gate and step.tier <= tier]
        open_last[tier] = max(ends, key=lambda at: (at.end, len(at.late), place[at.step])).step
    for step in steps:
        before = [tier for tier in open_last if tier < step.tier]
        if before and gated(step):
            at = timed.steps[step.id]
            found[step.id] = at.binding if at.hold == "gate" else open_last[max(before)]
    return found


def _step_node(step: Step, critical: bool, *, hit: bool = False, slack: float | None = None) -> DrawnNode:
    known = step.estimate.seconds is not None
    length = span(step.estimate.seconds) if known else "time unknown"
    words = [step.site, length]
    if slack:
        words.append(f"slack {span(slack)}")
    if step.approve:
        words.append("waits for a person")
    if step.destructive and not step.reversible:
        words.append("cannot be undone")
    rank = ("protect", "declare", "isolate", "data", "services", "verify", "traffic", "notify").index(step.phase)
    tier = f"tier {step.tier}" if step.tier else "before all tiers"
    return DrawnNode(
        step.id, step.id, "step", (tier, *words), step.tier, rank, (step.subject,), critical=critical, hit=hit
    )


def _store_step(documents: Documents, name: str, home: str) -> Step:
    """Stands for the steps that bring a store back."""
    store = documents.stores[name]
    return Step(
        id=f"{name} comes back",
        action="restore",
        title=f"bring {name} back",
        reason="the scenario concerns it",
        site=next((member.site for member in store.members.values() if member.site == home), home),
        tier=tier_of_store(documents, name),
        phase="data",
        subject=name,
        symbol="-/+",
        reversible=True,
        destructive=True,
        estimate=Estimate(),
    )


def _hit(documents: Documents, scenario: Scenario, down: Sequence[str]) -> set[str]:
    found = set(scenario.affects.stores)
    for name, store in documents.stores.items():
        if any(member.site in down for member in store.members.values()):
            found.add(name)
    return found


def _nothing_measured(_action: str, _subject: str) -> None:
    return None


def draw_plan_together(plan: Plan, most: int = 60) -> Drawing:
    """The same where there are too many steps for the eye: one box for all of one subject in a tier, or of one phase
    where those were still more than `most`."""
    timed = schedule(plan)
    path = set(timed.path if timed.total else ())
    gates = _gates(plan.steps, timed)
    boxes, box = _boxes(plan.steps, gates, lambda step: step.subject or step.phase)
    by = "subject"
    if len(boxes) > most:
        boxes, box = _boxes(plan.steps, gates, lambda step: step.phase)
        by = "phase"
    nodes = []
    for name, steps in boxes.items():
        tier = f"tier {steps[0].tier}" if steps[0].tier else "before all tiers"
        open_ = sum(1 for step in steps if timed.steps[step.id].unknown)
        count = f"{len(steps)} step{'' if len(steps) == 1 else 's'}"
        words = (tier, count, f"{open_} of unknown length" if open_ else "")
        critical = any(step.id in path for step in steps)
        label = (steps[0].subject or steps[0].phase) if by == "subject" else steps[0].phase
        nodes.append(DrawnNode("/".join(map(str, name)), label, "step", words, steps[0].tier, 0, (), critical=critical))
    along = {(box[one], box[other]) for one, other in zip(timed.path[1:], timed.path)} if path else set()
    pairs = {(box[step.id], box[need]) for step in plan.steps for need in (*step.needs, *step.builds_on)}
    waits = {(box[name], box[gate]) for name, gate in gates.items()} - pairs
    # What waits for a gate, for room or a lock could lead back to an earlier box, which would look like a circle.
    pairs |= {pair for pair in (*waits, *along) if pair[1][2] < pair[0][2]}
    edges = [
        DrawnEdge(
            "/".join(map(str, one)),
            "/".join(map(str, other)),
            critical=(one, other) in along,
            gate=(one, other) in waits,
        )
        for one, other in sorted(pairs)
        if one != other
    ]
    title = f"{plan.system}: {len(plan.steps)} steps, put together by tier and {by}"
    return drawing("plan", title, nodes, edges, tiers=tier_names(plan.documents))


_Box = tuple[int, str, int]


def _boxes(
    steps: Sequence[Step], gates: Mapping[str, str], label: Callable[[Step], str]
) -> tuple[dict[_Box, list[Step]], dict[str, _Box]]:
    """The steps of each box, and the box of each step. What has the same tier and label is one box, but for steps that
    come again after those of another: these get one more, so that no circle arises."""
    box: dict[str, _Box] = {}
    boxes: dict[_Box, list[Step]] = {}
    for step in steps:
        key = (step.tier, label(step))
        turn = 0
        for need in (*step.needs, *step.builds_on, *([gates[step.id]] if gates.get(step.id) in box else [])):
            before = box[need]
            turn = max(turn, before[2] + (before[:2] != key))
        box[step.id] = (*key, turn)
        boxes.setdefault(box[step.id], []).append(step)
    return boxes, box
