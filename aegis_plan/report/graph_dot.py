"""A drawing in the language of Graphviz. Arrows lead from what is needed to what needs it, as things come back."""

from __future__ import annotations

from aegis_plan.report.drawing import Drawing, DrawnNode
from aegis_plan.report.visible import visible

_SHAPES = {"service": "box", "store": "cylinder", "site": "house", "repository": "folder", "step": "box"}


def graph_dot(drawing: Drawing) -> str:
    """One `digraph`, every name in quotes."""
    lines = [
        "digraph aegis {",
        f"  label={_quoted(drawing.title)};",
        '  labelloc="t"; rankdir="LR"; fontname="sans-serif";',
        '  node [fontname="sans-serif" fontsize=11 style="rounded" color="gray40"];',
        '  edge [color="gray40"];',
    ]
    lines += [f"  {_quoted(node.id)} [{_node(node)}];" for node in drawing.nodes]
    for edge in drawing.edges:
        marks = []
        if edge.critical:
            marks.append('penwidth=3 color="black"')
        if edge.gate:
            marks.append('style="dotted" label="tier gate"')
        if edge.cycle:
            marks.append('color="red" style="dashed" label="circle"')
        if edge.back:
            marks.append("constraint=false")
        tail = f" [{' '.join(marks)}]" if marks else ""
        lines.append(f"  {_quoted(edge.needs)} -> {_quoted(edge.node)}{tail};")
    return "\n".join([*lines, "}"])


def _node(node: DrawnNode) -> str:
    words = " · ".join(word for word in node.words if word)
    mark = "* " if node.critical else "! " if node.hit else ""
    label = f"{mark}{node.name}" + (f"\n{words}" if words else "")
    more = ' penwidth=3 color="black"' if node.critical else ' color="red" style="rounded,dashed"' if node.hit else ""
    shape = _SHAPES[node.sort]
    if shape != "box" and not more:
        more = ' style="solid"'
    return f"label={_quoted(label)} shape={shape}{more}"


def _quoted(text: str) -> str:
    safe = visible(text, lines=True).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{safe}"'
