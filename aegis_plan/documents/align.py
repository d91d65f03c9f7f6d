"""Columns that people lined up: values and comments that stand below each other stay so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aegis_plan.documents.pieces import width


@dataclass(slots=True)
class Cell:
    """A text within a line, with the spaces that belong before it and the column at which it was written."""

    text: str
    gap: int
    """Spaces before it when nothing is lined up."""
    column: int = 0
    wrote: int = 0
    """Spaces that people left before it."""
    aligns: str = ""
    """`value` or `comment` when it may be lined up with others of its sort."""
    stop: int = 0
    """The column at which it begins at least, once that is found."""


@dataclass(slots=True)
class Line:
    """One line: how deep it stands, deep it stood, and its cells. A raw line is part of a text of several lines."""

    indent: int
    was: int
    cells: list[Cell] = field(default_factory=list)
    raw: bool = False
    blank: bool = False
    """Whether an empty line stands before it."""
    section: bool = False
    """Whether a key of the outermost map begins here."""
    document: bool = False
    """Whether it is a line such as `---`."""
    below: Line | None = None
    """The line whose comment this one goes on with."""

    @property
    def comment(self) -> bool:
        """Whether nothing but a comment stands in it."""
        return not self.raw and len(self.cells) == 1 and self.cells[0].text.startswith("#")

    def starts(self) -> list[int]:
        """The column of each cell."""
        found, at = [], self.indent
        for cell in self.cells:
            at = max(at + cell.gap, cell.stop)
            found.append(at)
            at += width(cell.text)
        return found

    def text(self) -> str:
        """The line as it is written."""
        parts, at = [" " * self.indent], self.indent
        for cell, start in zip(self.cells, self.starts()):
            parts += [" " * (start - at), cell.text]
            at = start + width(cell.text)
        return "".join(parts)


def align(lines: Sequence[Line]) -> None:
    """Finds what was lined up and lines it up again, as far to the left as it goes."""
    groups = [*_groups(lines, "value"), *_groups(lines, "comment")]
    # A cell moves with those to its left, which were written further to the left in every line.
    for _, members in sorted(groups, key=lambda group: group[0]):
        stop = max(line.starts()[index] for line, index in members)
        for line, index in members:
            line.cells[index].stop = stop
    for line in lines:
        if line.below is not None:
            line.indent = line.below.starts()[-1]


def _groups(lines: Sequence[Line], sort: str) -> Iterator[tuple[int, list[tuple[Line, int]]]]:
    """Cells of one column in lines that follow each other, where somebody took the trouble of more than one space."""
    open_: dict[int, list[tuple[Line, int]]] = {}
    above: Line | None = None
    for line in lines:
        cells = {
            cell.column: (line, index)
            for index, cell in enumerate(line.cells)
            if cell.aligns == sort and cell.wrote and not line.comment
        }
        if sort == "comment" and not cells and not line.blank and (line.raw or not line.comment):
            continue  # lines between that have no comment
        level = above is not None and (line.was, line.indent) == (above.was, above.indent)
        same = not line.blank and (sort == "comment" or level)
        kept = {column: group for column, group in open_.items() if same and column in cells}
        for column, group in open_.items():
            if column not in kept:
                yield from _worthwhile(column, group)
        open_ = {column: [*kept.get(column, ()), cell] for column, cell in cells.items()}
        above = line
    for column, group in open_.items():
        yield from _worthwhile(column, group)


def _worthwhile(column: int, group: list[tuple[Line, int]]) -> Iterator[tuple[int, list[tuple[Line, int]]]]:
    if len(group) > 1 and any(line.cells[index].wrote > 1 for line, index in group):
        yield column, group
