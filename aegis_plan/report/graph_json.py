"""A drawing for programs: one JSON document of stable form."""

from __future__ import annotations

from aegis_plan.report.drawing import Drawing
from aegis_plan.report.visible import dumps


def graph_json(drawing: Drawing) -> str:
    """`format`, `kind`, `title`, `tiers`, `nodes`, `edges`, `cycles`, `notes`; see `aegis help graph`."""
    data = {
        "format": 1,
        "kind": drawing.kind,
        "title": drawing.title,
        "tiers": {str(number): name for number, name in drawing.tiers.items()},
        "nodes": [
            {
                "id": node.id,
                "name": node.name,
                "sort": node.sort,
                "tier": node.tier,
                "words": [word for word in node.words if word],
                "critical": node.critical,
                "hit": node.hit,
            }
            for node in drawing.nodes
        ],
        "edges": [
            {
                "node": edge.node,
                "needs": edge.needs,
                "critical": edge.critical,
                "gate": edge.gate,
                "cycle": edge.cycle,
            }
            for edge in drawing.edges
        ],
        "cycles": [list(circle) for circle in drawing.cycles],
        "notes": list(drawing.notes),
    }
    return dumps(data, indent=2)
