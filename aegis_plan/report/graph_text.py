"""A drawing as a tree of text: each thing once, below the last of what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from aegis_plan.report.drawing import GATE, DrawnEdge, DrawnNode
from aegis_plan.report.terminal import MAX_WIDTH, is_ascii, letters

if TYPE_CHECKING:
    from rich.console import Console

    from aegis_plan.report.drawing import Drawing

ALSO = {"services": "also needs", "sites": "also at", "scenario": "also waits for", "plan": "also waits for"}


def show_graph(drawing: Drawing, out: Console) -> None:
    """Prints the whole tree, its legend and its notes."""
    _paragraph(drawing.title, "head", out)
    for circle in drawing.cycles:
        _paragraph(f"circle: {' -> '.join(circle)}", "bad", out)
    out.print()
    tree = _Tree(drawing, out)
    for node in tree.roots:
        tree.show(node)
    _legend(drawing, out)


class _Tree:
    def __init__(self, drawing: Drawing, out: Console) -> None:
        self.drawing = drawing
        self.out = out
        self.width = min(out.width, MAX_WIDTH)
        self.nodes = {node.id: node for node in drawing.nodes}
        place = {node.id: at for at, node in enumerate(drawing.nodes)}
        self.others: dict[str, list[DrawnEdge]] = {}
        self.below: dict[str, list[DrawnNode]] = {}
        self.behind_gate: set[str] = set()
        self.on_path: set[str] = set()
        needs: dict[str, list[DrawnEdge]] = {}
        for edge in drawing.edges:
            needs.setdefault(edge.node, []).append(edge)
        self.roots: list[DrawnNode] = []
        for node in drawing.nodes:
            own = needs.get(node.id, [])
            # The critical one before all others, then the one that comes last: what stands above is done before. Of
            # sites the first, which is the primary one.
            sign = -1 if drawing.kind == "sites" else 1
            # A gate stands for the gates of a whole tier, and above a step only where it needs no other.
            parent = max(
                (edge for edge in own if not edge.back),
                key=lambda edge: (edge.critical, not edge.gate, sign * place[edge.needs]),
                default=None,
            )
            self.others[node.id] = [edge for edge in own if edge is not parent]
            if parent is not None and parent.gate:
                self.behind_gate.add(node.id)
            if parent is None:
                self.roots.append(node)
            else:
                self.below.setdefault(parent.needs, []).append(node)
        self.rule = ("|- ", "`- ", "|  ") if is_ascii(out) else ("├─ ", "└─ ", "│  ")

    def show(self, root: DrawnNode) -> None:
        """The node and all below it. A step with one follower has it right below, since long chains would leave the
        page."""
        chains = self.drawing.kind in ("plan", "scenario")
        waiting: list[tuple[DrawnNode, str, str]] = [(root, "", "")]
        while waiting:
            node, lead, after = waiting.pop()
            children = self.below.get(node.id, [])
            chain = chains and len(children) == 1
            self.line(node, lead, after, bool(children) and not chain)
            if chain:
                waiting.append((children[0], after, after))
                continue
            rows = []
            for child in children:
                last = child is children[-1]
                rows.append((child, after + self.rule[1 if last else 0], after + ("   " if last else self.rule[2])))
            waiting.extend(reversed(rows))

    def line(self, node: DrawnNode, lead: str, after: str, forks: bool) -> None:
        """The node with its words and what else it needs."""
        lead, rest = _short(lead), _short(after) + (self.rule[2] if forks else "   ")
        mark = "* " if node.critical else "! " if node.hit else ""
        text = Text(letters(self.out, mark + node.name), style="bad" if node.hit else "name")
        words = [word for word in node.words if word]
        if node.id in self.behind_gate:
            words.append("waits for the tier gate above")
        if self.others[node.id]:
            also = ", ".join(self._also(edge) for edge in self.others[node.id])
            words.append(f"{ALSO[self.drawing.kind]} {also}")
        text.append(letters(self.out, f"  {' · '.join(words)}"), style="quiet")
        for number, line in enumerate(text.wrap(self.out, max(30, self.width - len(rest)))):
            line.rstrip()
            self.out.print(Text.assemble(Text(rest if number else lead, style="quiet"), line), soft_wrap=True)

    def _also(self, edge: DrawnEdge) -> str:
        name = self.nodes[edge.needs].name
        return f"{name} (in a circle)" if edge.back else f"{name} (tier gate)" if edge.gate else name


def _short(lead: str, most: int = 36) -> str:
    """Of a lead that would fill the page only its end."""
    return lead if len(lead) <= most else ".. " + lead[-(most - 3) :]


def _legend(drawing: Drawing, out: Console) -> None:
    rows = []
    if drawing.kind in ("plan", "scenario") and len(drawing.nodes) > 1:
        rows.append("Each step waits for the one above it; branches go on side by side.")
    if any(node.critical for node in drawing.nodes):
        rows.append("* on the critical path: when it takes longer, everything does")
    if any(edge.gate for edge in drawing.edges):
        rows.append(f"tier gate: {GATE}")
    if any(node.hit for node in drawing.nodes):
        rows.append("! struck by the disaster")
    rows += drawing.notes
    if rows:
        out.print()
    for row in rows:
        _paragraph(row, "quiet", out)


def _paragraph(text: str, style: str, out: Console) -> None:
    for line in Text(letters(out, text), style=style).wrap(out, min(out.width, MAX_WIDTH)):
        line.rstrip()
        out.print(line, soft_wrap=True)
