"""Places the nodes of a drawing in layers: each behind what it needs, near its neighbours, with few crossings. Pure.

Coordinates are abstract: how many layers along, and how far across in units that the caller chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aegis_plan.report.drawing import Drawing, DrawnEdge

_SWEEPS = 8
_MOST_BENDS = 30_000
"""Edges over several layers get a bend in each; where those would be more, they go straight."""


@dataclass(frozen=True)
class Placed:
    """Where everything stands."""

    layer: dict[str, int]
    across: dict[str, float]
    routes: tuple[tuple[DrawnEdge, tuple[float, ...]], ...]
    """Each edge with its place across in every layer between its two ends."""
    layers: int
    extent: float
    """How far across it reaches."""


def place(drawing: Drawing, box: float, bend: float) -> Placed:
    """`box` is the room that a node takes across, `bend` that of an edge that passes by."""
    layer = _layers(drawing)
    count = max(layer.values(), default=-1) + 1
    rows: list[list[str]] = [[] for _ in range(count)]
    for node in drawing.nodes:
        rows[layer[node.id]].append(node.id)
    forward = [edge for edge in drawing.edges if not edge.back]
    spare = sum(max(0, layer[edge.node] - layer[edge.needs] - 1) for edge in forward) <= _MOST_BENDS
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    bends: dict[int, list[str]] = {}
    for number, edge in enumerate(forward):
        chain = [edge.needs]
        if spare:
            for at in range(layer[edge.needs] + 1, layer[edge.node]):
                name = f"\0{number}/{at}"
                rows[at].append(name)
                chain.append(name)
        chain.append(edge.node)
        bends[number] = chain[1:-1]
        for one, other in pairwise(chain):
            after.setdefault(one, []).append(other)
            before.setdefault(other, []).append(one)
    _uncross(rows, before, after)
    across = _spread(rows, before, after, lambda name: bend if name.startswith("\0") else box)
    least = min(across.values(), default=0.0)
    across = {name: at - least for name, at in across.items()}
    routes = [(edge, tuple(across[name] for name in bends[number])) for number, edge in enumerate(forward)]
    routes += [(edge, ()) for edge in drawing.edges if edge.back]
    return Placed(layer, across, tuple(routes), count, max(across.values(), default=0.0))


def _layers(drawing: Drawing) -> dict[str, int]:
    """The length of the longest way to each node. What needs nothing stands right before the first that needs it, but
    steps begin as early as they may."""
    needs: dict[str, list[str]] = {}
    users: dict[str, list[str]] = {}
    for edge in drawing.edges:
        if not edge.back:
            needs.setdefault(edge.node, []).append(edge.needs)
            users.setdefault(edge.needs, []).append(edge.node)
    layer: dict[str, int] = {}
    for node in drawing.nodes:
        layer[node.id] = max((layer[need] + 1 for need in needs.get(node.id, ())), default=0)
    for node in drawing.nodes if drawing.kind in ("services", "sites") else ():
        if node.id not in needs and node.id in users:
            layer[node.id] = min(layer[user] for user in users[node.id]) - 1
    return layer


def _uncross(rows: list[list[str]], before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    """Sorts each row by where the neighbours stand in the row before it, then behind it, and so on."""
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = before if down else after
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for at in order:
            place = {name: index for index, name in enumerate(rows[at - 1 if down else at + 1])}
            row = rows[at]
            weight = {}
            for index, name in enumerate(row):
                seen = [place[other] for other in near.get(name, ()) if other in place]
                # Without neighbours it stays where it is, in proportion.
                weight[name] = sum(seen) / len(seen) if seen else index * len(place) / max(1, len(row))
            row.sort(key=weight.__getitem__)


def _spread(
    rows: list[list[str]], before: dict[str, list[str]], after: dict[str, list[str]], room: Callable[[str], float]
) -> dict[str, float]:
    """Moves everything near its neighbours, without changing the order or coming too close."""
    across: dict[str, float] = {}
    for row in rows:
        at = 0.0
        for name in row:
            across[name] = at + room(name) / 2
            at += room(name)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = before if down else after
        for row in rows if down else reversed(rows):
            wanted = []
            for name in row:
                seen = near.get(name) or (after if down else before).get(name) or ()
                wanted.append(sum(across[other] for other in seen) / len(seen) if seen else across[name])
            for name, at in zip(row, _apart(wanted, [room(name) for name in row])):
                across[name] = at
    return across


def _apart(wanted: Sequence[float], rooms: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones, in the sense of least squares, that keep the order and the distances."""
    offsets, total = [], 0.0
    for index, room in enumerate(rooms):
        total += room / 2 + (rooms[index - 1] / 2 if index else 0.0)
        offsets.append(total)
    # Neighbours that would overlap are pooled and share the mean of their wishes.
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    shifts = [mean for mean, count in pools for _ in range(count)]
    return [offset + shift for offset, shift in zip(offsets, shifts)]
