"""How one due run ended: told to people who asked for it, and put down as a signed record. It begins nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aegis_plan.errors import AegisError

if TYPE_CHECKING:
    from pathlib import Path

    from aegis_plan.catalog.schedule_record import Notice, ScheduleRecord, Verdict
    from aegis_plan.cli.duevoice import Voice
    from aegis_plan.cli.wire import World
    from aegis_plan.plan.plan import Plan
    from aegis_plan.run.result import Result

LOOKED_BACK = 3
"""Days of records that are read to find whether a failure is a new one."""


@dataclass(frozen=True)
class Outcome:
    """How one due run ended. `due` is false where nothing was to do and nothing was due: that leaves no record."""

    verdict: Verdict
    due: bool = True
    run: str = ""
    steps: tuple[str, ...] = ()
    code: str = ""
    why: str = ""


def outcome_of(result: Result, plan: Plan) -> Outcome:
    """What the run of a plan comes to. Where somebody else works on the store, that is no failure."""
    trouble = next((step.failure or step.trouble for step in result.steps if step.failure or step.trouble), None)
    verdict: Verdict = "failed" if result.verdict == "refused" else result.verdict
    ill = verdict not in ("done",)
    code = str(trouble.get("code", "")) if trouble and ill else ""
    why = str(trouble.get("summary", "")) if trouble and ill else ""
    if verdict == "stopped" and not why:
        why = result.reason
    if result.verdict == "refused":
        code = code or result.reason
        if code in ("lease-held", "plan-stale"):
            verdict = "locked"
    return Outcome(verdict, True, result.run, tuple(step.id for step in plan.steps), code, why)


def put_down(world: World, voice: Voice, folder: Path, record: ScheduleRecord) -> None:
    """Tells people and the dead-man address, and writes the record. None of it changes the outcome."""
    from aegis_plan.repositories import schedule_history

    record = record.model_copy(update={"notices": _tell(world, voice, folder, record)})
    try:
        signing = world.here.keys.signing
        if signing is None:
            raise AegisError("signing-key-missing", "this site has no key to sign with")
        refused = schedule_history.write(record, signing, world.repositories, folder / "records", record.ended)
    except (AegisError, OSError) as error:
        voice.complain(f"the record of this run could not be written: {error}")
        return
    for name, why in refused.items():
        if why is not None:
            voice.complain(f"the record of this run waits at the site for {name}: {why}")


def _tell(world: World, voice: Voice, folder: Path, record: ScheduleRecord) -> tuple[Notice, ...]:
    from aegis_plan.catalog.schedule_record import about
    from aegis_plan.schedule import notices

    documents, resolve = world.documents, world.here.secrets.text
    told: tuple[Notice, ...] = ()
    channels = notices.listeners(documents)
    if channels and record.verdict not in ("locked", "stopped"):
        occasion = about(_earlier(world, folder, record), record.verdict, record.ended)
        if occasion is not None:
            told = notices.tell(channels, resolve, occasion, *_words(record, occasion))
    if record.well and documents.schedule.dead_man:
        told = (*told, notices.alive(documents.schedule.dead_man, resolve))
    for one in told:
        to = "the dead-man address" if one.to == "dead-man" else f"channel {one.to}"
        voice.say(
            "notice",
            f"{voice.name}: {to} {'was reached' if one.ok else f'was not reached: {one.why}'} ({one.about})",
            **one.model_dump(),
        )
    return told


def _earlier(world: World, folder: Path, last: ScheduleRecord) -> list[ScheduleRecord]:
    from aegis_plan.repositories import schedule_history

    documents = world.documents
    signers = documents.sealing.believed if documents.sealing else {}
    history = schedule_history.load(
        documents.system.name,
        signers,
        world.repositories,
        schedule_history.days_back(last.ended, LOOKED_BACK),
        folder / "records",
    )
    return [one for one in history.records if one.store == last.store and one.aspect == last.aspect]


def _words(record: ScheduleRecord, occasion: str) -> tuple[str, str]:
    """Title and body of a message: names of the documents, words of the program, nothing of data or secrets."""
    what = f"{record.system}: backup of {record.store} ({record.aspect})"
    title = {
        "failure": f"{what} failed",
        "reminder": f"{what} still fails",
        "recovery": f"{what} works again",
    }[occasion]
    lines = [f"{title} at {record.ended:%Y-%m-%d %H:%M} UTC, site {record.site}."]
    if record.why and occasion != "recovery":
        lines.append(f"Why: {record.why}" + (f" ({record.code})" if record.code else ""))
    for one in record.due:
        last = f"last done {one.last:%Y-%m-%d %H:%M} UTC" if one.last is not None else "never done before"
        lines.append(f"Due: {one.kind} since {one.since:%Y-%m-%d %H:%M} UTC, {last}")
    if record.run:
        lines.append(f"Run: {record.run} ('aegis runs {record.run}' shows it)")
    return title, "\n".join(lines)
