"""A drawing as Mermaid text, which Git hosts and wikis show as a picture."""

from __future__ import annotations

from aegis_plan.report.drawing import Drawing, DrawnNode
from aegis_plan.report.visible import one_line

_FORMS = {
    "service": ('["', '"]'),
    "store": ('[("', '")]'),
    "site": ('{{"', '"}}'),
    "repository": ('[/"', '"/]'),
    "step": ('["', '"]'),
}


def graph_mermaid(drawing: Drawing) -> str:
    """One flow chart; names stand only in labels, so that no word of the language can be among them."""
    places = {node.id: f"n{number}" for number, node in enumerate(drawing.nodes)}
    lines = ["flowchart LR", f"  %% {' '.join(one_line(drawing.title).split())}"]
    for node in drawing.nodes:
        left, right = _FORMS[node.sort]
        lines.append(f"  {places[node.id]}{left}{_label(node)}{right}")
    for edge in drawing.edges:
        arrow = "-. circle .->" if edge.cycle else "-. tier gate .->" if edge.gate else "-->"
        if edge.critical:
            arrow = "== tier gate ==>" if edge.gate else "==>"
        lines.append(f"  {places[edge.needs]} {arrow} {places[edge.node]}")
    for name, chosen, style in (
        ("critical", [node for node in drawing.nodes if node.critical], "stroke-width:4px"),
        ("hit", [node for node in drawing.nodes if node.hit and not node.critical], "stroke:#c00,stroke-dasharray:6 3"),
    ):
        if chosen:
            lines.append(f"  classDef {name} {style}")
            lines.append(f"  class {','.join(places[node.id] for node in chosen)} {name}")
    return "\n".join(lines)


def _label(node: DrawnNode) -> str:
    words = " · ".join(word for word in node.words if word)
    mark = "* " if node.critical else "! " if node.hit else ""
    return _safe(mark + node.name) + (f"<br/>{_safe(words)}" if words else "")


def _safe(text: str) -> str:
    """Without what ends a label or begins markup."""
    table = {"#": "#35;", "&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
    return "".join(table.get(letter, letter) for letter in one_line(text))
