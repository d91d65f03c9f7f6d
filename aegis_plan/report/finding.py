"""A finding as compilers print it: severity and id, place, the line with a mark below it, reason and way out. It reads
no file."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from aegis_plan.errors import Finding
from aegis_plan.report.terminal import indented, letters
from aegis_plan.report.visible import visible

STYLES = {"error": "bad", "breach": "bad", "warning": "warn", "note": "quiet"}
_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'|[^,\[\]{}#]*?(?=\s*(?:[,\[\]{}]|:(?:\s|$)|\s#|$))")
"""A quoted text, or a bare one up to what ends it."""


def show(finding: Finding, line: str, out: Console) -> None:
    """Prints one finding; `line` is the line of the document at which it stands, empty where nobody has it."""
    head = Text(finding.severity, style=STYLES[finding.severity])
    head.append(f"[{finding.code}]", style=STYLES[finding.severity])
    head.append(": " + letters(out, finding.summary), style="head")
    indented(out, head, 0)
    at = finding.position
    if at is not None:
        place = Text(letters(out, f"--> {at}"))
        if finding.subject:
            place.append(letters(out, f"  {finding.subject}"), style="quiet")
        indented(out, place, 2)
        if line.strip():
            _show_line(line, at.line, at.column, finding.severity, out)
    if finding.detail:
        indented(out, Text(letters(out, finding.detail)), 2)
    if finding.hint:
        indented(out, Text(letters(out, f"hint: {finding.hint}")), 2)
    out.print()


def _show_line(line: str, number: int, column: int, severity: str, out: Console) -> None:
    line = line.rstrip()
    token = _TOKEN.match(line, column - 1)
    length = len(token.group()) if token is not None else 1
    before, marked = _plain(line[: column - 1]), _plain(line[column - 1 : column - 1 + max(1, length)])
    rest = _plain(line[column - 1 :])
    line = before + rest
    gutter = f"{number} | "
    room = max(20, out.width - len(gutter) - 2)
    if cell_len(line) > room:
        # A long line is shown around the mark.
        cut = max(0, len(before) - room // 4)
        before = ("..." if cut else "") + before[cut:]
        line = before + rest
        while cell_len(line) > room:
            line = line[: max(1, len(line) - max(1, (cell_len(line) - room) // 2))]
        marked = marked[: max(1, len(line) - len(before))]
    shown = letters(out, line)
    offset = cell_len(letters(out, before))
    marks = "^" * max(1, min(cell_len(letters(out, marked)), max(1, room - offset)))
    out.print(Text.assemble((f"  {gutter}", "quiet"), shown), soft_wrap=True)
    blank = " " * (len(gutter) - 2)
    out.print(Text.assemble((f"  {blank}| ", "quiet"), " " * offset, (marks, STYLES[severity])), soft_wrap=True)


def _plain(text: str) -> str:
    """As it is shown: what has no letter of its own, as a blank."""
    return "".join(letter if letter.isprintable() else " " for letter in visible(text))
