"""A drawing as one SVG file that needs nothing else: it follows the light or dark mode of whoever looks, and marks by
form and word as well as by colour."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from aegis_plan.documents.pieces import width as columns
from aegis_plan.report.drawing import GATE, Drawing, DrawnEdge, DrawnNode
from aegis_plan.report.layers import Placed, place
from aegis_plan.report.visible import one_line

_HEIGHT = 46
_MARGIN = 24
_TOP = 64
_MEANINGS = {
    "services": "is needed by",
    "sites": "is where this runs or lies",
    "scenario": "is done before",
    "plan": "is done before",
}
_STYLE = """
  svg { color-scheme: light dark; --page: #ffffff; --ink: #1b1f24; --quiet: #4f5863; --box: #f3f5f8; --line: #6e7781;
        --path: #0a4fb8; --hit: #b3261e; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0f141a; --ink: #e8edf2; --quiet: #a9b4c0; --box: #1b232c; --line: #7d8995; --path: #8ab8ff;
          --hit: #ff9a90; } }
  text { font-family: system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; fill: var(--ink); }
  .page { fill: var(--page); } .title { font-size: 18px; font-weight: 600; }
  .name { font-size: 13px; font-weight: 600; } .words, .note { font-size: 11px; fill: var(--quiet); }
  .note { font-size: 12px; }
  .tag { font-size: 10px; font-weight: 700; fill: var(--page); }
  .box { fill: var(--box); stroke: var(--line); stroke-width: 1.2; }
  .store { rx: 22px; } .site { stroke-width: 2; } .repository { stroke-dasharray: 1 3; stroke-linecap: round; }
  .critical .box { stroke: var(--path); stroke-width: 3.2; } .critical .flag { fill: var(--path); }
  .hit .box { stroke: var(--hit); stroke-width: 2; stroke-dasharray: 7 4; } .hit .flag { fill: var(--hit); }
  .edge { fill: none; stroke: var(--line); stroke-width: 1.2; }
  .edge.path { stroke: var(--path); stroke-width: 3.2; }
  .edge.gate { stroke-dasharray: 2 5; stroke-linecap: round; stroke-width: 2; }
  .edge.gate.path { stroke-width: 3.2; stroke-dasharray: 2 7; }
  .edge.cycle { stroke: var(--hit); stroke-width: 2; stroke-dasharray: 7 4; }
  .head { fill: var(--line); } .head.path { fill: var(--path); } .head.cycle { fill: var(--hit); }
"""


def graph_svg(drawing: Drawing) -> str:
    """The whole file."""
    return "".join(_Picture(drawing).parts())


class _Picture:
    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self.nodes = {node.id: node for node in drawing.nodes}
        needed = max((max(columns(node.name) * 7.6, columns(_words(node)) * 6.1) for node in drawing.nodes), default=0)
        self.box = min(max(needed + 26, 130), 340)
        # The longer side goes down the page, since pages scroll that way.
        across = place(drawing, _HEIGHT + 16, 12)
        self.sideways = across.layers * (self.box + 64) <= 1500 or across.layers * self.box < across.extent
        self.placed: Placed = across if self.sideways else place(drawing, self.box + 22, 16)
        self.pitch = self.box + 64 if self.sideways else _HEIGHT + 46
        along = self.placed.layers * self.pitch
        extent = self.placed.extent + (_HEIGHT if self.sideways else self.box)
        self.loops = 40 if any(edge.back for edge in drawing.edges) else 0
        wide, high = (along, extent) if self.sideways else (extent, along)
        self.body = _TOP + 20 * len(drawing.cycles) + self.loops
        self.below = self.body + high + self.loops + 12
        texts = [drawing.title, *drawing.notes, *(_circle(names) for names in drawing.cycles)]
        self.width = max(wide + 2 * _MARGIN, 420, *(columns(text) * 8 + 2 * _MARGIN for text in texts))
        self.height = self.below + 24 * len(self.legend()) + 22 * len(drawing.notes) + _MARGIN

    def corner(self, node: str) -> tuple[float, float]:
        """The upper left corner of a box."""
        at, across = self.placed.layer[node] * self.pitch, self.placed.across[node]
        x, y = (at, across) if self.sideways else (across, at)
        return _MARGIN + x, self.body + y

    def parts(self) -> Iterator[str]:
        size = f'width="{self.width:.0f}" height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}"'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">\n'
        yield f'<title id="title">{_text(self.drawing.title)}</title>\n<style>{_STYLE}</style>\n<defs>\n'
        for name in ("line", "path", "cycle"):
            yield (
                f'<marker id="{name}" viewBox="0 0 8 8" refX="7.5" refY="4" markerUnits="userSpaceOnUse" '
                f'markerWidth="9" markerHeight="9" orient="auto">'
                f'<path class="head {name}" d="M0 0L8 4L0 8z"/></marker>\n'
            )
        yield '</defs>\n<rect class="page" width="100%" height="100%"/>\n'
        yield _line("title", _MARGIN, 36, self.drawing.title)
        for number, names in enumerate(self.drawing.cycles):
            yield _line("note", _MARGIN, 60 + 20 * number, _circle(names))
        # The marked ones last, so that nothing covers them.
        routes = sorted(self.placed.routes, key=lambda route: (route[0].cycle, route[0].critical))
        yield from (self.edge(edge, between) for edge, between in routes if not edge.back)
        yield from (self.node(node) for node in self.drawing.nodes)
        yield from (self.edge(edge, between) for edge, between in routes if edge.back)
        at = self.below
        for drawn, text in self.legend():
            yield drawn.format(y=at + 8)
            yield _line("note", _MARGIN + 62, at + 12, text)
            at += 24
        for note in self.drawing.notes:
            yield _line("note", _MARGIN, at + 12, note)
            at += 22
        yield "</svg>\n"

    def node(self, node: DrawnNode) -> str:
        x, y = self.corner(node.id)
        kind = " ".join(word for word in ("critical" if node.critical else "", "hit" if node.hit else "") if word)
        words = _words(node)
        radius = 22 if node.sort == "store" else 2 if node.sort in ("site", "repository") else 8
        parts = [
            f'<g class="{kind}"><title>{_text(node.name)}: {_text(words)}</title>',
            f'<rect class="box {node.sort}" x="{x:.1f}" y="{y:.1f}" width="{self.box:.0f}" height="{_HEIGHT}" '
            f'rx="{radius}"/>',
            _line("name", x + 13, y + 20, _cut(node.name, self.box - 24, 7.6)),
            _line("words", x + 13, y + 36, _cut(words, self.box - 24, 6.1)),
        ]
        tag = "CRITICAL" if node.critical else "STRUCK" if node.hit else ""
        if tag:
            wide = 7 * len(tag) + 8
            left = x + self.box - wide - 10
            parts.append(f'<rect class="flag" x="{left:.1f}" y="{y - 7:.1f}" width="{wide}" height="14" rx="3"/>')
            parts.append(_line("tag", left + 4, y + 3.5, tag))
        return "".join([*parts, "</g>\n"])

    def edge(self, edge: DrawnEdge, between: tuple[float, ...]) -> str:
        kind = "cycle" if edge.cycle else "path" if edge.critical else "line"
        x, y = self.corner(edge.needs)
        to_x, to_y = self.corner(edge.node)
        half, depth = (_HEIGHT / 2, self.box) if self.sideways else (self.box / 2, _HEIGHT)
        along, across = (x, y) if self.sideways else (y, x)
        to_along, to_across = (to_x, to_y) if self.sideways else (to_y, to_x)
        begin, end = (along + depth, across + half), (to_along, to_across + half)
        path = [f"M{self.at(*begin)}"]
        if edge.back:
            # Around the boxes, back to where the circle began.
            side = min(across, to_across) - 18
            path.append(f"C{self.at(begin[0] + 50, side)} {self.at(end[0] - 50, side)} {self.at(*end)}")
        else:
            origin = self.body if self.sideways else _MARGIN
            here = begin
            for number, place_across in enumerate(between):
                layer = self.placed.layer[edge.needs] + 1 + number
                start = (_MARGIN if self.sideways else self.body) + layer * self.pitch
                passes = origin + place_across + half
                path.append(self.curve(here, (start, passes)) + f"L{self.at(start + depth, passes)}")
                here = (start + depth, passes)
            path.append(self.curve(here, end))
        said = f"{self.nodes[edge.node].name} needs {self.nodes[edge.needs].name}"
        if edge.gate:
            said = f"{self.nodes[edge.node].name} waits for the health gates of tiers before, the last: "
            said += self.nodes[edge.needs].name
        title = f"<title>{_text(said)}</title>"
        style = f"{kind} gate" if edge.gate else kind
        return f'<path class="edge {style}" marker-end="url(#{kind})" d="{"".join(path)}">{title}</path>\n'

    def curve(self, one: tuple[float, float], other: tuple[float, float]) -> str:
        middle = (one[0] + other[0]) / 2
        return f"C{self.at(middle, one[1])} {self.at(middle, other[1])} {self.at(*other)}"

    def at(self, along: float, across: float) -> str:
        x, y = (along, across) if self.sideways else (across, along)
        return f"{x:.1f},{y:.1f}"

    def legend(self) -> list[tuple[str, str]]:
        """A sample of each mark that is used, and what it means."""
        rows = []
        x = _MARGIN
        arrow = f'<path class="edge {{style}}" marker-end="url(#{{kind}})" d="M{x},{{{{y}}}}H{x + 48}"/>\n'
        if any(not edge.gate for edge in self.drawing.edges):
            rows.append((arrow.format(kind="line", style="line"), _MEANINGS[self.drawing.kind]))
        if any(edge.gate for edge in self.drawing.edges):
            rows.append((arrow.format(kind="line", style="line gate"), GATE))
        if any(node.critical for node in self.drawing.nodes):
            rows.append(
                (arrow.format(kind="path", style="path"), "critical path: when it takes longer, everything does")
            )
        if any(node.hit for node in self.drawing.nodes):
            box = f'<g class="hit"><rect class="box" x="{x}" y="{{y:.1f}}" width="48" height="6" rx="3"/></g>\n'
            rows.append((box, "struck by the disaster"))
        if any(edge.cycle for edge in self.drawing.edges):
            rows.append(
                (arrow.format(kind="cycle", style="cycle"), "part of a circle: nothing of it could begin first")
            )
        return rows


def _words(node: DrawnNode) -> str:
    return " · ".join(word for word in node.words if word)


def _circle(names: tuple[str, ...]) -> str:
    return f"Circle: {' → '.join(names)}"


def _cut(text: str, room: float, letter: float) -> str:
    """What of the text has room."""
    if columns(text) * letter <= room:
        return text
    short = text
    while short and (columns(short) + 1) * letter > room:
        short = short[:-1]
    return f"{short}…"


def _line(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{_text(text)}</text>\n'


def _text(text: str) -> str:
    """As XML takes it: escaped, and without the characters that it forbids."""
    return escape(one_line(text.replace("\t", " ")))
