"""The terminal that everything is shown on: width, colour and the letters it can show. It knows nothing of plans."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta, tzinfo

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text
from rich.theme import Theme

from aegis_plan.report.visible import visible

MAX_WIDTH = 110
"""Wider lines are harder to read, however wide the terminal is."""
_THEME = Theme(
    {
        "add": "green",
        "change": "yellow",
        "replace": "red",
        "remove": "red",
        "read": "cyan",
        "good": "green",
        "bad": "bold red",
        "warn": "yellow",
        "quiet": "dim",
        "head": "bold",
        "name": "bold",
    }
)


def console(*, color: bool = True, stderr: bool = False, width: int | None = None) -> Console:
    """A console on stdout or stderr; without colour it writes plain text only."""
    stream = sys.stderr if stderr else sys.stdout
    made = Console(
        file=stream,
        theme=_THEME,
        no_color=not color,
        color_system="auto" if color else None,
        highlight=False,
        soft_wrap=False,
        emoji=False,
        markup=False,
        width=width or _width(),
    )
    made.push_render_hook(_Harmless())
    return made


class _Harmless(RenderHook):
    """The net below `letters`: whatever is printed, no text of it commands the terminal."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(one) for one in renderables]


class _Shown:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self.inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in console.render(self.inner, options):
            if part.control or part.text.isprintable():
                yield part
            else:
                yield Segment(visible(part.text, lines=True), part.style)


def _width() -> int | None:
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked) >= 40:
        return int(asked)
    return None if sys.stdout.isatty() or sys.stderr.isatty() else 100


def is_ascii(out: Console) -> bool:
    """Whether only ASCII can be shown, as in the locale C."""
    return not (out.encoding or "").lower().replace("-", "").startswith("utf")


def letters(out: Console, text: str, *, lines: bool = False) -> str:
    """`text` in letters that the terminal has and that command it nothing; with `lines` its line breaks stay."""
    text = visible(text, lines=lines)
    if not is_ascii(out):
        return text
    table = {"─": "-", "·": "-", "…": "...", "→": "->", "✓": "ok", "✗": "x", "≤": "<=", "“": '"', "”": '"', "’": "'"}
    for letter, plain in table.items():
        text = text.replace(letter, plain)
    return text.encode("ascii", "backslashreplace").decode()


def cells(text: str) -> int:
    """Columns that the text takes; a Korean letter takes two."""
    from rich.cells import cell_len

    return cell_len(text)


def indented(out: Console, text: Text, by: int, lead: Text | None = None) -> None:
    """Prints `text` wrapped into the columns from `by` on, `lead` before its first line. No line ends with spaces."""
    head = lead if lead is not None else Text()
    for line in text.wrap(out, max(20, out.width - by)):
        line.rstrip()
        out.print(Text.assemble(head, " " * (by - head.cell_len), line), soft_wrap=True)
        head = Text()


def amount(count: float | None) -> str:
    """`12.5 MiB`, or `unknown`."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def moment(when: datetime, zone: tzinfo | None = None) -> str:
    """`2026-11-23 22:44:10 KST`: always with its zone."""
    local = when.astimezone(zone) if zone else when.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname() or ''}".rstrip()


def since(begin: datetime, end: datetime) -> float:
    """Seconds from one moment to another."""
    return (end - begin) / timedelta(seconds=1)
