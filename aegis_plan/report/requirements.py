"""What is missing, what could not be looked at and what is there, for people and as JSON. It decides nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from aegis_plan.report.terminal import indented, letters
from aegis_plan.requirement import Requirement, exit_code

_WORDS = {"ok": ("ok", "good"), "missing": ("missing", "bad"), "could_not_verify": ("could not verify", "warn")}
_BY = 20
_ORDER = ("scenarios", "sites", "stores", "repositories")
FINE = "Everything that is declared can work, as far as a look can tell."


def show(found: Sequence[Requirement], out: Console, *, every: bool = False, fine: str = FINE) -> None:
    """One block a subject: what is missing with the way to it, then what is not known; what is there as one line, or
    with `every` one line each."""
    subjects = dict.fromkeys(one.subject for one in found)
    for subject in sorted(subjects, key=lambda name: _ORDER.index(name.split("/")[0])):
        mine = [one for one in found if one.subject == subject]
        out.print()
        out.print(Text(subject, style="name"))
        open_ = [one for one in mine if one.state != "ok"]
        for one in open_:
            _one(one, out)
        there = [one for one in mine if one.state == "ok"]
        if every:
            for one in there:
                _line(one, out)
        elif there:
            text = f"{len(there)} of {len(mine)}" if open_ else f"all {len(there)}"
            indented(out, Text(text, style="quiet"), _BY, Text("  ok", style="good"))
    _together(found, out)
    out.print()
    out.print(_summary(found, fine))


def _line(one: Requirement, out: Console) -> None:
    word, style = _WORDS[one.state]
    if one.state == "missing" and one.severity != "breach":
        style = "warn" if one.severity == "warning" else "quiet"
    if one.state == "could_not_verify" and one.severity == "note":
        word, style = "not tried", "quiet"
    text = Text(letters(out, one.summary))
    if one.state != "ok":
        text.append(f"  [{one.code}]", style="quiet")
    indented(out, text, _BY, Text(f"  {word}", style=style))


def _one(one: Requirement, out: Console) -> None:
    _line(one, out)
    tail = f" (needed for {', '.join(one.needed_for)})" if one.needed_for and one.state == "missing" else ""
    if one.state == "missing" and one.severity != "breach":
        tail = f" (a {one.severity})"
    if one.detail or tail:
        indented(out, Text(letters(out, f"{one.detail}{tail}".strip(), lines=True), style="quiet"), _BY)
    if one.hint:
        indented(out, Text(letters(out, one.hint, lines=True)), _BY)
    for line in one.commands:
        out.print(Text(" " * _BY + letters(out, line)), soft_wrap=True)


def _together(found: Sequence[Requirement], out: Console) -> None:
    """What to type, in one piece a server: statements, lines of pg_hba.conf, what it needs to take notice."""
    for subject in dict.fromkeys(one.subject for one in found):
        mine = [one for one in found if one.subject == subject and one.state == "missing"]
        sql = list(dict.fromkeys(line for one in mine for line in one.sql))
        if sql:
            database = next((one.database for one in mine if one.database), "postgres")
            out.print()
            out.print(Text(f"{subject}: in psql, as a superuser, in the database {database}", style="head"))
            for line in sql:
                out.print(Text("  " + letters(out, line)), soft_wrap=True)
        for file in dict.fromkeys(one.hba_file for one in mine if one.hba):
            lines = dict.fromkeys(line for one in mine if one.hba_file == file for line in one.hba)
            out.print()
            where = file or "pg_hba.conf (SHOW hba_file says where it is)"
            out.print(Text(f"{subject}: in {where}, above lines that begin likewise", style="head"), soft_wrap=True)
            for line in lines:
                out.print(Text("  " + letters(out, line)), soft_wrap=True)
        effects = {one.effect for one in mine}
        if effects & {"reload", "restart"}:
            out.print()
            if "restart" in effects:
                names = ", ".join(one.summary for one in mine if one.effect == "restart")
                out.print(Text(f"{subject}: then restart the server (for: {names})", style="head"), soft_wrap=True)
            else:
                out.print(Text(f"{subject}: then SELECT pg_reload_conf(); no restart is needed", style="head"))
        policy = next((one.policy for one in mine if one.policy), None)
        if policy is not None:
            out.print()
            out.print(Text(f"{subject}: the policy of its account", style="head"))
            out.print(Text(json.dumps(policy, indent=2)), soft_wrap=True)


def _summary(found: Iterable[Requirement], fine: str) -> Text:
    """Everything that is open, also what does not change how the command exits; `fine` only where nothing is."""
    open_ = [one for one in found if one.state != "ok"]
    if not open_:
        return Text(fine, style="good")
    missing = [one for one in open_ if one.state == "missing"]
    lesser = sum(not one.counts for one in missing)
    untried = sum(one.state == "could_not_verify" and one.severity == "note" for one in open_)
    unknown = len(open_) - len(missing) - untried
    parts = [f"{len(missing)} missing"] if missing else []
    if lesser:
        parts[0] += " (all warnings or notes)" if lesser == len(missing) else f" ({lesser} as warnings or notes)"
    parts += [f"{unknown} could not be verified"] if unknown else []
    parts += [f"{untried} not tried"] if untried else []
    style = "bad" if lesser < len(missing) else "warn" if missing or unknown else "quiet"
    text = Text(", ".join(parts) + ".", style=style)
    return text.append(" 'aegis explain CODE' tells more.", style="quiet")


def as_data(found: Sequence[Requirement]) -> dict[str, Any]:
    """The same as one JSON document."""
    return {
        "format": 1,
        "exit_code": exit_code(found),
        "missing": sum(one.counts and one.state == "missing" for one in found),
        "could_not_verify": sum(one.counts and one.state == "could_not_verify" for one in found),
        "requirements": [
            {name: value for name, value in one.model_dump(mode="json").items() if value not in ("", [], None)}
            for one in found
        ],
    }
