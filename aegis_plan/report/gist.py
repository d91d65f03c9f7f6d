"""What a plan comes to, in the sentences that every form of a report tells: what is first, what cannot be undone, how
long it takes and what nobody knows. It adds no judgement of its own and knows no form.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from aegis_plan.documents.scalars import span
from aegis_plan.plan.people import called
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.schedule import Schedule, expected_length, schedule
from aegis_plan.plan.services import dependents
from aegis_plan.plan.serving import not_back
from aegis_plan.plan.step import Step
from aegis_plan.report.terminal import moment

MEANINGS = {"+": "make", "~": "change", "-/+": "replace", "-": "remove", "<=": "look"}
VERDICTS = {
    "pass": "within the objective",
    "fail": "MISSES the objective",
    "could_not_verify": "not known",
    "not_configured": "no objective set",
}


@dataclass(frozen=True)
class Gist:
    """A plan in short."""

    title: str
    asof: str
    led: str
    """Who leads; empty when nobody is named."""
    timed: Schedule
    number: dict[str, int]
    """Each step's place in the plan, from 1."""
    lacks: tuple[str, ...]
    """Stores that the plan is about and does not bring back, one sentence each."""
    first: str
    """What happens at once, but for what rests on a store that is not brought back."""
    touches: Step | None
    """The first step that stops or replaces what serves people."""
    gone: tuple[Step, ...]
    """The steps from which on old data is gone."""
    back: str
    """How far what was done can be taken back."""
    length: str
    """How long it takes, or what keeps that from being known."""
    way: str
    """The critical path, its steps by number; empty where no length is known."""
    people: str
    """Which steps wait for a person; empty for none."""
    unknown: tuple[str, ...]
    """What is not known, one sentence each."""


def gist(plan: Plan) -> Gist:
    """The plan in short."""
    timed = schedule(plan)
    number = {step.id: at for at, step in enumerate(plan.steps, 1)}
    zone = ZoneInfo(plan.documents.system.timezone)
    waiting = [step for step in plan.steps if step.approve]
    lacks = not_back(plan)
    sound = [step for step in plan.steps if not lacks or _sound(plan, step, lacks)]
    scenario = plan.documents.scenarios.get(plan.intent.scenario)
    commander = scenario.commander if scenario is not None else None
    return Gist(
        title=f"{title(plan)} · {plan.system}",
        asof=asof(plan, zone),
        led=called(plan.documents, commander) if commander is not None else "",
        timed=timed,
        number=number,
        lacks=tuple(
            f"{name}: not brought back by this plan" + (f": {why}" if why else "") for name, why in lacks.items()
        ),
        first=_first(sound, timed, number),
        touches=next((step for step in sound if step.destructive), None),
        gone=tuple(step for step in plan.steps if step.destructive and not step.reversible),
        back=_back(plan, number),
        length=_length(plan, timed),
        way=_way(plan, timed, number),
        people=f"{_counted(len(waiting), 'step waits', 'steps wait')} for a person: {_named(waiting, number)}"
        if waiting
        else "",
        unknown=tuple(_unknown(plan, timed, number)),
    )


UPKEEP = {"prune": "let expired backups go", "verify": "verify backups", "hold": "hold backups"}
"""What a plan that keeps backups in order is for, by its kind."""


def upkeep(plan: Plan) -> str:
    """What a plan of upkeep does, to what."""
    what = "release backups" if plan.intent.options.get("release") else UPKEEP[plan.intent.kind]
    return f"{what} of {', '.join(plan.intent.stores) or plan.system}"


def title(plan: Plan) -> str:
    """What the plan is for."""
    names = ", ".join(plan.intent.stores)
    if plan.intent.kind == "protect":
        return "Plan to protect"
    if plan.intent.kind == "publish":
        return "Plan to publish the documents"
    if plan.intent.kind == "backup":
        return f"Plan to back up {names}"
    if plan.intent.kind == "escrow":
        return "Plan to put secrets away"
    if plan.intent.kind in UPKEEP:
        return f"Plan to {upkeep(plan)}"
    if plan.intent.kind == "rewrap":
        return "Plan to wrap data keys anew"
    text = f"Plan to recover {names}" if names else "Plan to recover"
    if plan.intent.beside:
        text += f" beside, in {plan.intent.beside}"
    return f"{text} from {plan.intent.scenario}" if plan.intent.scenario else text


def asof(plan: Plan, zone: ZoneInfo) -> str:
    """The moment that the plan is of, and the one that it goes back to."""
    text = f"as of {moment(plan.snapshot.taken_at, zone)}"
    return f"{text}, back to {_target(plan, zone)}" if plan.intent.kind in ("recover", "restore") else text


def _target(plan: Plan, zone: ZoneInfo) -> str:
    to = plan.intent.before or plan.intent.to
    if not to or to == "latest":
        return "the latest moment possible"
    try:
        text = moment(datetime.fromisoformat(to), zone)
    except ValueError:
        return to
    return f"the last moment before {text}" if plan.intent.before else text


def _sound(plan: Plan, step: Step, lacks: Collection[str]) -> bool:
    """Whether a step does what it says though these stores are not brought back: not so services on them, and steps
    of the scenario that come after the stores."""
    if step.subject in plan.documents.services:
        return step.subject not in dependents(plan.documents, tuple(lacks))
    return step.subject in plan.documents.stores or step.phase in ("declare", "isolate")


def _first(steps: Sequence[Step], timed: Schedule, number: dict[str, int]) -> str:
    at_once = [step for step in steps if not (at := timed.steps[step.id]).binding and not at.late and not at.begin]
    if not at_once:
        return ""
    together = ", at the same time" if len(at_once) > 1 else ""
    person = "; a person has to say yes before it begins" if len(at_once) == 1 and at_once[0].approve else ""
    return f"{_named(at_once, number)}{together}{person}"


def _back(plan: Plan, number: dict[str, int]) -> str:
    """By the rules of the rollback: a subject is taken back as a whole, once something that serves was touched, and
    only until a step without an undo has altered it."""
    changing = [step for step in plan.steps if step.symbol != "<="]
    if not changing:
        return "nothing is changed"
    # What stops a server only to make something, as a dump does, takes nothing away.
    replacing = [step for step in changing if step.destructive and step.symbol != "+"]
    touched = dict.fromkeys(step.subject for step in replacing)
    gone = [step for step in replacing if not step.reversible]
    lasting = [step for step in changing if not step.reversible and step.symbol != "+"]
    told = []
    if gone:
        told.append(f"from {_named(gone[:1], number)} on {_loss(gone)}; what fails after that waits for 'aegis resume'")
    rest = [name for name in touched if name not in {step.subject for step in gone}]
    if rest:
        ends = [step for step in lasting if step.subject in rest]
        until = f"; once {_named(ends, number)} {'is' if len(ends) == 1 else 'are'} done, what was restored stays"
        told.append(f"what is replaced of {_some(rest)} is put back if a step of it fails{until if ends else ''}")
    if not touched:
        told.append("nothing that serves is replaced; what was done stays when a later step fails")
    others = [step for step in lasting if step.subject not in touched]
    if others:
        told.append(f"no undo for {_named(others, number)}")
    return "; ".join(told)


def _loss(gone: Sequence[Step]) -> str:
    """What there is no way back to: data that is removed, or a primary that another member took over from."""
    lost = [step for step in gone if step.symbol == "-"]
    subjects = ", ".join(dict.fromkeys(step.subject for step in lost or gone))
    if lost:
        return f"the old data of {subjects} is gone and nothing of it can be put back"
    return f"there is no way back to the old primary of {subjects}"


def _length(plan: Plan, timed: Schedule) -> str:
    if not plan.steps:
        return "nothing to do"
    open_ = len(timed.unknown)
    if not open_:
        return span(timed.total)
    if not timed.total:
        return "not known: no step has a known length"
    return (
        f"not known: {_counted(open_, 'step has', 'steps have')} no known length; the others alone take "
        f"{span(timed.total)}"
    )


def _way(plan: Plan, timed: Schedule, number: dict[str, int]) -> str:
    if not timed.total:
        return ""
    steps = {step.id: step for step in plan.steps}
    open_ = set(timed.unknown)
    parts = []
    for name in timed.path:
        seconds = steps[name].estimate.seconds
        took = span(seconds) if seconds is not None else "unknown"
        took += " and a person" if name in open_ and seconds is not None else ""
        parts.append(f"{name} ({number[name]}, {took})")
    if len(parts) > 12:
        parts = [*parts[:6], f"… {len(parts) - 11} more …", *parts[-5:]]
    return " → ".join(parts)


def _unknown(plan: Plan, timed: Schedule, number: dict[str, int]) -> list[str]:
    found = []
    steps = {step.id: step for step in plan.steps}
    lengths = [steps[name] for name in timed.unknown if steps[name].estimate.seconds is None]
    if lengths:
        word = "takes" if len(lengths) == 1 else "take"
        found.append(f"how long {_named(lengths, number)} {word}")
    people = [step for step in plan.steps if step.approve and not expected_length(step)[1] and step not in lengths]
    if people:
        found.append(f"how long people need to approve {_named(people, number)}")
    unbuilt = [step for step in plan.steps if not step.built]
    if unbuilt:
        found.append(f"whether {_named(unbuilt, number)} would work: this version cannot do it yet")
    for row in plan.forecasts:
        if row.verdict == "could_not_verify" and row.about != "service":
            what = "be back in time" if row.objective == "rto" else "lose no more than allowed"
            found.append(f"whether {row.subject} would {what} ({row.objective.upper()} {span(row.target)})")
    for site in plan.snapshot.sites.values():
        if not site.reachable:
            found.append(f"what runs at {site.site}: it did not answer")
    for store in plan.snapshot.stores.values():
        blind = [look.member for look in store.members if look.state in ("unknown", "unreachable")]
        if blind:
            found.append(f"what became of {', '.join(blind)} of {store.store}: not seen, which is not the same as down")
        dark = [holding.repository for holding in store.shelf.holdings if not holding.reachable]
        if dark:
            found.append(f"which backups of {store.store} are in {', '.join(dark)}: not reached")
    doubtful = [look.service for look in plan.snapshot.services.values() if look.verdict == "could_not_verify"]
    if doubtful:
        found.append(f"whether {_some(doubtful)} {'serves' if len(doubtful) == 1 else 'serve'} now")
    return found


def _named(steps: Sequence[Step], number: dict[str, int]) -> str:
    return _some([f"{step.id} ({number[step.id]})" for step in steps])


def _some(names: Sequence[str], most: int = 4) -> str:
    if len(names) <= most:
        return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
