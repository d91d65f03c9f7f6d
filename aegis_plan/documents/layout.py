"""Pieces of YAML text to lines: how deep each stands and how much space is between its cells. It changes no piece."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aegis_plan.documents.align import Cell, Line
from aegis_plan.documents.pieces import Piece

STEP = 2
"""Spaces a level."""
_HEADER = re.compile(r"([|>][0-9+-]*)[ \t]*(#.*)?\Z")


@dataclass(frozen=True, slots=True)
class _Level:
    """A map or list written in lines of its own: the column at which it stood and that at which it stands now."""

    kind: str
    was: int
    now: int
    inner: bool = False
    """Whether it is a list whose dashes stood below the key it belongs to; the scanner does not mark its end."""


def layout(pieces: Iterable[Piece]) -> list[Line]:
    """The lines, without the alignment of columns and the empty lines between sections."""
    writer = _Writer()
    for piece in pieces:
        writer.take(piece)
    writer.comments_before(None)
    return writer.lines


class _Writer:
    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.levels: list[_Level] = []
        self.brackets: list[int] = []
        """For each open bracket: how deep the line stands that closes it."""
        self.held: list[Piece] = []
        """Comments on lines of their own, until it is known what they stand before."""
        self.held_levels: list[_Level] = []
        self.key = False
        """Whether the next piece begins a key."""
        self.blank = False
        self.before = Piece("marker", "", "", 0, 0, 0, 0)
        self.explicit = False
        """Whether the piece before is a dash, or the mark of a key or value in the long form."""

    def take(self, piece: Piece) -> None:
        kind = piece.kind
        if kind == "comment":
            self.comment(piece)
        elif kind in ("map", "sequence"):
            self.open(kind, piece.column)
        elif kind == "end":
            self.close_inner()
            self.levels.pop()
        elif kind == "key" and not piece.text:
            if not self.brackets:
                self.close_inner()
                self.key = True
        else:
            self.token(piece)

    def open(self, kind: str, column: int, *, inner: bool = False) -> None:
        self.levels.append(_Level(kind, column, self.levels[-1].now + STEP if self.levels else 0, inner))

    def close_inner(self) -> None:
        if self.levels and self.levels[-1].inner:
            self.levels.pop()

    @property
    def below(self) -> int:
        """How deep a value stands that begins on a line of its own."""
        return self.levels[-1].now + STEP if self.levels else 0

    def token(self, piece: Piece) -> None:
        if not self.brackets and piece.kind == "key":
            self.close_inner()
        if not self.brackets and piece.kind == "-" and self.levels and self.levels[-1].kind == "map":
            self.open("sequence", piece.column, inner=True)
        first = bool(piece.breaks)
        marks = not self.brackets and (piece.kind in ("-", "key") or (piece.kind == ":" and first))
        if first:
            indent = self.indent(piece, marks)
            self.comments_before(piece, indent)
            self.start(piece, indent, section=self.key and len(self.levels) == 1)
        gap, aligns = (0, "") if first else self.space(piece)
        if piece.kind == "open":
            self.brackets.append(max(self.lines[-1].indent, self.levels[-1].now if self.levels else 0))
        elif piece.kind == "close":
            self.brackets.pop()
        if piece.style in ("|", ">"):
            self.block(piece, gap, aligns)
        elif piece.kind == "scalar" and "\n" in piece.text:
            self.folded(piece, gap, aligns)
        else:
            self.add(piece.text, piece, gap, aligns)
        self.before, self.explicit, self.key = piece, marks, False

    def indent(self, piece: Piece, marks: bool) -> int:
        if piece.kind == "marker":
            return 0
        if self.brackets:
            return self.brackets[-1] + (0 if piece.kind == "close" else STEP)
        return self.levels[-1].now if (marks or self.key) and self.levels else self.below

    def start(self, piece: Piece, indent: int, *, section: bool = False) -> None:
        blank = self.blank or piece.breaks > 1
        self.lines.append(Line(indent, piece.column, [], False, blank, section, piece.kind == "marker"))
        self.blank = False

    def space(self, piece: Piece) -> tuple[int, str]:
        """The spaces before a piece that does not begin its line, and whether it may be lined up."""
        before = self.before.kind
        some = min(piece.gap, 1)
        if self.explicit or before in ("marker", "property"):
            return (some if piece.kind in (",", "close", ":") else 1), ""
        if piece.kind == ":":
            return (some if before in ("alias", ",", "open", "key") else 0), ""
        if piece.kind in (",", "close"):
            return (some if before == ":" else 0), ""
        if before == "open":
            return 0, ""
        if before in (":", ","):
            return 1, "value"
        return some, ""

    def add(self, text: str, piece: Piece, gap: int, aligns: str) -> None:
        self.lines[-1].cells.append(Cell(text, gap, piece.column, piece.gap, aligns))

    def comment(self, piece: Piece) -> None:
        if piece.breaks:
            if not self.held:
                self.held_levels = list(self.levels)
            self.held.append(piece)
        else:
            self.add(piece.text, piece, 1, "comment")

    def comments_before(self, piece: Piece | None, indent: int = 0) -> None:
        """Writes the comments that were held back, each as deep as what it belongs to."""
        for comment in self.held:
            at = self.brackets[-1] + STEP if self.brackets else self.depth(comment, piece, indent)
            above = self.lines[-1] if self.lines else None
            self.start(comment, at)
            self.add(comment.text, comment, 0, "comment")
            if above is not None and not self.lines[-1].blank and above.cells and not above.raw:
                last = above.cells[-1]
                goes_on = above.below is not None or len(above.cells) > 1
                if goes_on and last.aligns == "comment" and last.column == comment.column:
                    self.lines[-1].below = above
        self.held = []

    def depth(self, comment: Piece, piece: Piece | None, indent: int) -> int:
        """A comment stands with what follows when it stood there or deeper than all else; otherwise with the deepest
        thing above it that it stood below."""
        levels = self.held_levels
        if piece is not None and piece.kind != "marker":
            opens = not levels or indent > levels[-1].now
            if comment.column == piece.column or (opens and (not levels or comment.column > levels[-1].was)):
                return indent
        return next((level.now for level in reversed(levels) if level.was <= comment.column), 0)

    def folded(self, piece: Piece, gap: int, aligns: str) -> None:
        """A plain or quoted text of several lines. Spaces at both ends of its inner lines mean nothing."""
        head, *rest = piece.text.split("\n")
        self.add(_trimmed(head), piece, gap, aligns)
        deep = " " * (self.brackets[-1] + STEP if self.brackets else self.below or STEP)
        for line in rest:
            text = _trimmed(line.lstrip(" \t"))
            self.raw(deep + text if text else "")

    def raw(self, text: str) -> None:
        line = self.lines[-1]
        # What follows on the line of its last part counts from where the text began.
        self.lines.append(Line(0, line.was, [Cell(text, 0)], True))

    def block(self, piece: Piece, gap: int, aligns: str) -> None:
        """A text after `|` or `>`: its lines move together."""
        first, *rest = piece.text.split("\n")
        header = _HEADER.match(first)
        mark, comment = (header[1], header[2]) if header else (first, None)
        self.add(mark, piece, gap, aligns)
        if comment:
            wrote = len(first) - len(mark) - len(comment)
            at = piece.column + len(mark) + wrote
            self.lines[-1].cells.append(Cell(comment.rstrip(), 1, at, wrote, "comment"))
        digits = re.search(r"[1-9]", mark)
        level = self.levels[-1] if self.levels else None
        if digits is not None:
            was = (level.was if level else 0) + int(digits[0])
            now = (level.now if level else 0) + int(digits[0])
        else:
            was = next((len(line) - len(line.lstrip(" ")) for line in rest if line.strip(" ")), 10**6)
            now = self.below or STEP
        texts = [" " * now + line[was:] if len(line) > was else "" for line in rest]
        while "+" not in mark and texts and not texts[-1]:
            texts.pop()
            self.blank = True
        for text in texts:
            self.raw(text)


def _trimmed(line: str) -> str:
    """Without the spaces at its end, but for one that a backslash keeps."""
    short = line.rstrip(" \t")
    slashes = len(short) - len(short.rstrip("\\"))
    return line if slashes % 2 else short
