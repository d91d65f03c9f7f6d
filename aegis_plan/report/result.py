"""How a run ended, as people read it: verdict, what went wrong and what to do, and what was achieved against what was
asked for, with how it was measured."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from aegis_plan.documents.scalars import span
from aegis_plan.plan.plan import Plan
from aegis_plan.report.gist import UPKEEP, VERDICTS, upkeep
from aegis_plan.report.plan import VERDICT_STYLES
from aegis_plan.report.terminal import letters
from aegis_plan.run.result import Result

VERDICT_WORDS = {
    "done": ("Applied", "good"),
    "degraded": ("Applied, with findings", "warn"),
    "failed": ("FAILED", "bad"),
    "unknown": ("An outcome is UNKNOWN, a person has to decide", "bad"),
    "stopped": ("Stopped part-way", "warn"),
    "refused": ("Refused before anything was begun", "bad"),
}


def headline(plan: Plan) -> str:
    """What a run was for, in a few words."""
    intent = plan.intent
    names = ", ".join(intent.stores)
    if intent.kind == "protect":
        return f"protect {names or plan.system}"
    if intent.kind == "escrow":
        return "put secrets away"
    if intent.kind == "publish":
        return f"publish the documents of {plan.system}"
    if intent.kind == "rewrap":
        return f"wrap data keys of {names or plan.system} anew"
    if intent.kind == "backup":
        return f"back up {names} ({intent.options.get('method', 'full')})"
    if intent.kind in UPKEEP:
        return upkeep(plan)
    return f"recover from {intent.scenario}" if intent.scenario else f"restore {names}"


def show_steps(result: Result, out: Console) -> None:
    """One line a step with its state and time."""
    width = max((len(step.id) for step in result.steps), default=0)
    for step in result.steps:
        style = "good" if step.state == "done" else "warn" if step.state in ("skipped", "undone") else "bad"
        line = Text(f"  {step.id:<{width}}  ").append(f"{step.state:<8}", style=style)
        line.append(f" {span(step.seconds) if step.seconds is not None else ''}", style="quiet")
        if step.cause and step.state != "done":
            line.append(f"  {letters(out, step.cause)}", style="quiet")
        out.print(line, soft_wrap=True)


def show_result(result: Result, out: Console) -> None:
    """The summary of a run, its last line first in importance."""
    out.print()
    if result.achieved and result.verdict in ("done", "degraded"):
        show_achieved(result, out)
    for step in result.steps:
        held = step.state == "waiting" and step.cause
        # What failed and was taken back says why as well: only what failed has a trouble then.
        told = step.state in ("failed", "undo-failed", "undone", "asked") or held
        for trouble in (step.failure, step.trouble) if told else ():
            if trouble is None:
                continue
            line = Text(f"{step.id} ", style="name").append(f"error[{trouble.get('code')}]", style="bad")
            out.print(line.append(f": {letters(out, str(trouble.get('summary')))}"))
            for prefix, name in (("", "detail"), ("hint: ", "hint")):
                if trouble.get(name):
                    said = Text(letters(out, prefix + str(trouble[name]), lines=True))
                    out.print(Padding(said, (0, 0, 0, 2), expand=False))
    for step_id, question in result.questions.items():
        out.print(Text(f"{step_id} ", style="name").append(letters(out, question)))
        out.print(Text(f"  aegis resume {result.run} --answer {step_id}=done (or not-done)", style="quiet"))
    word, style = VERDICT_WORDS[result.verdict]
    if result.already:
        way = "" if result.verdict == "done" else "; make a new plan"
        word = f"Nothing was done: this run was over before{way}. {word}"
    counted: dict[str, int] = {}
    for step in result.steps:
        counted[step.state] = counted.get(step.state, 0) + 1
    total = len(result.steps)
    steps = f"{counted.get('done', 0)} of {total} step{'s' if total != 1 else ''} done"
    others = [f"{count} {state}" for state, count in counted.items() if state != "done"]
    took = (result.ended - result.begun).total_seconds() if result.ended and result.begun else None
    text = f": {', '.join([steps, *others])}, in {span(took)}."
    if result.verdict in ("stopped", "refused") and result.reason:
        text += f" Why: {result.reason}."
    out.print(Text(word, style=style).append(letters(out, text), style="default"))
    if result.verdict in ("stopped", "unknown"):
        out.print(f"Go on with: aegis resume {result.run}", soft_wrap=True)


def show_achieved(result: Result, out: Console) -> None:
    """RTA and RPA against the objectives, each with how it was measured."""
    out.print(Text("Achieved", style="head"))
    width = max(len(one.subject) for one in result.achieved)
    for one in result.achieved:
        meaning = "RTA" if one.objective == "rta" else "RPA"
        objective = "RTO" if one.objective == "rta" else "RPO"
        target = f"{objective} {span(one.target)}" if one.target is not None else f"no {objective}"
        word, style = VERDICTS[one.verdict], VERDICT_STYLES[one.verdict]
        line = Text(f"  {one.subject:<{width}}  {meaning} {span(one.seconds):<12} {target:<13} ")
        out.print(line.append(word, style=style))
        out.print(Padding(Text(letters(out, one.basis), style="quiet"), (0, 0, 0, 4), expand=False))
    out.print()
