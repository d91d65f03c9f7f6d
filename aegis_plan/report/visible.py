r"""Letters that command a terminal or turn the order of what is read, shown as what they are: `\x1b`, `\u202e`.

Texts of documents, servers and snapshots pass through here before they are shown. It changes no other letter."""

from __future__ import annotations

import json
import re
from typing import Any

_COMMANDS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, delete, C1
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"  # direction, breaks, no width
    "\ud800-\udfff\U000e0000-\U000e007f"  # halves of pairs, tags that nobody sees
)
_HIDDEN = re.compile(f"[{_COMMANDS}]")
_HIDDEN_OR_BREAK = re.compile(f"[{_COMMANDS}\n]")


def visible(text: str, *, lines: bool = False) -> str:
    """The text with every such letter written out. A line break is one of them, since a text could forge a line of
    this program with it; `lines` keeps those of a text that is shown as a block of its own."""
    if text.isprintable():
        return text
    if lines:
        return _HIDDEN.sub(_escape, text.replace("\r\n", "\n"))
    return _HIDDEN_OR_BREAK.sub(_escape, text.rstrip("\r\n"))


def one_line(text: str) -> str:
    """The text on one line, breaks as blanks, for what flows anyway: Markdown, labels."""
    return visible(text.replace("\r\n", " ").replace("\n", " "))


def dumps(data: Any, indent: int | None = None) -> str:
    """JSON that is the same to a program, and harmless on a terminal."""
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    return text if text.isascii() else _HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _escape(found: re.Match[str]) -> str:
    letter = ord(found[0])
    if letter == 10:
        return r"\n"
    return f"\\x{letter:02x}" if letter < 256 else f"\\u{letter:04x}" if letter < 65536 else f"\\U{letter:08x}"
