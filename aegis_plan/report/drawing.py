"""A drawing: named nodes and edges, whatever they stand for, thinned out for the eye. Pure, and knows no format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from typing import Literal

Sort = Literal["service", "store", "site", "repository", "step"]
GATE = "waits for the health gates of more critical tiers (drawn from the one that opens last)"
"""What an edge of a gate means, in the legends."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """One thing with the few words that are written at it."""

    id: str
    """Unique in the drawing."""
    name: str
    sort: Sort
    words: tuple[str, ...] = ()
    """What is written beside or below the name."""
    tier: int = 0
    rank: int = 0
    """Among those of one tier, lower ones come first."""
    subjects: tuple[str, ...] = ()
    """Other names by which `--target` finds it."""
    critical: bool = False
    """Whether it is on the critical path."""
    hit: bool = False
    """Whether a disaster strikes it."""


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """`needs` cannot go without `node`, or waits for it."""

    node: str
    needs: str
    critical: bool = False
    gate: bool = False
    """Whether it waits for the health gates of more critical tiers, of which `needs` opens last."""
    cycle: bool = False
    """Whether it is part of a circle."""
    back: bool = False
    """Whether it is one of those that would have to go to break the circle; it is drawn, but orders nothing."""


@dataclass(frozen=True)
class Drawing:
    """Nodes so that each stands behind what it needs, edges, and the words around them."""

    kind: Literal["services", "sites", "scenario", "plan"]
    title: str
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]
    tiers: Mapping[int, str] = field(default_factory=dict)
    """Names of tiers."""
    notes: tuple[str, ...] = ()
    """Sentences to read with it."""
    cycles: tuple[tuple[str, ...], ...] = ()
    """Names along each circle, the first again at the end, each needing the next."""


def drawing(
    kind: Literal["services", "sites", "scenario", "plan"],
    title: str,
    nodes: Sequence[DrawnNode],
    edges: Iterable[DrawnEdge],
    *,
    tiers: Mapping[int, str] | None = None,
    notes: Sequence[str] = (),
) -> Drawing:
    """Marks circles, orders the nodes, and leaves out edges that say nothing that others do not say already."""
    known = {node.id: node for node in nodes}
    kept = {(edge.node, edge.needs): edge for edge in edges if edge.node in known and edge.needs in known}
    marked, circles = _circles(known, kept)
    ordered = _ordered(known, marked)
    names = [tuple(known[name].name for name in circle) for circle in circles]
    return Drawing(kind, title, ordered, _reduced(ordered, marked), tiers or {}, tuple(notes), tuple(names))


def around(whole: Drawing, name: str) -> Drawing | None:
    """Only what the named thing needs and what hangs on it, directly or not; None when nothing has that name."""
    begin = {node.id for node in whole.nodes if node.id == name or node.name == name}
    begin = begin or {node.id for node in whole.nodes if name in node.subjects}
    if not begin:
        return None
    keep = _reach(begin, [(edge.node, edge.needs) for edge in whole.edges])
    keep |= _reach(begin, [(edge.needs, edge.node) for edge in whole.edges])
    return replace(
        whole,
        title=f"{whole.title}, only what {name} needs and what hangs on it",
        nodes=tuple(node for node in whole.nodes if node.id in keep),
        edges=tuple(edge for edge in whole.edges if edge.node in keep and edge.needs in keep),
        cycles=tuple(
            circle for circle in whole.cycles if {node.name for node in whole.nodes if node.id in keep} & {*circle}
        ),
    )


def _reach(begin: set[str], arrows: list[tuple[str, str]]) -> set[str]:
    onward: dict[str, list[str]] = {}
    for source, target in arrows:
        onward.setdefault(source, []).append(target)
    found, waiting = set(begin), list(begin)
    while waiting:
        for target in onward.get(waiting.pop(), ()):
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def _circles(
    known: Mapping[str, DrawnNode], edges: Mapping[tuple[str, str], DrawnEdge]
) -> tuple[list[DrawnEdge], list[list[str]]]:
    """The edges with those of circles marked, and one circle of each knot."""
    import networkx

    graph: networkx.DiGraph[str] = networkx.DiGraph(list(edges))
    knot: dict[str, int] = {}
    turn: dict[str, int] = {}
    circles = []
    for number, members in enumerate(networkx.strongly_connected_components(graph)):
        if len(members) > 1 or any((name, name) in edges for name in members):
            knot |= dict.fromkeys(members, number)
            # From the one that comes first, so that the same documents give the same circle.
            first = min(members, key=lambda name: _place(known[name]))
            inside = graph.subgraph(members)
            # What is needed comes out first, so that few edges lead back.
            turn |= {name: at for at, name in enumerate(networkx.dfs_postorder_nodes(inside, first))}
            nearest = min(inside[first], key=lambda name: (networkx.shortest_path_length(inside, name, first), name))
            circles.append([first, *networkx.shortest_path(inside, nearest, first)])
    marked = []
    for edge in edges.values():
        if edge.node in knot and knot[edge.node] == knot.get(edge.needs):
            marked.append(replace(edge, cycle=True, back=turn[edge.needs] >= turn[edge.node]))
        else:
            marked.append(edge)
    return marked, sorted(circles)


def _place(node: DrawnNode) -> tuple[int, int, str]:
    return node.tier, node.rank, node.id


def _ordered(known: Mapping[str, DrawnNode], edges: Sequence[DrawnEdge]) -> tuple[DrawnNode, ...]:
    """What is needed first, then by tier, rank and name."""
    waiting = dict.fromkeys(known, 0)
    users: dict[str, list[str]] = {}
    for edge in edges:
        if not edge.back:
            waiting[edge.node] += 1
            users.setdefault(edge.needs, []).append(edge.node)
    ready = [_place(known[name]) for name, count in waiting.items() if not count]
    heapify(ready)
    ordered = []
    while ready:
        name = heappop(ready)[2]
        ordered.append(known[name])
        for user in users.get(name, ()):
            waiting[user] -= 1
            if not waiting[user]:
                heappush(ready, _place(known[user]))
    return tuple(ordered)


def _reduced(nodes: Sequence[DrawnNode], edges: Sequence[DrawnEdge]) -> tuple[DrawnEdge, ...]:
    """Without the edges that a longer way through others implies. Sets are bits of one whole number a node, which is
    fast for thousands of nodes; those on the critical path and in circles stay."""
    place = {node.id: at for at, node in enumerate(nodes)}
    needs: dict[str, list[DrawnEdge]] = {}
    for edge in edges:
        needs.setdefault(edge.node, []).append(edge)
    behind: list[int] = []
    kept: list[DrawnEdge] = []
    for node in nodes:
        covered = 0
        own = sorted(needs.get(node.id, ()), key=lambda edge: -place[edge.needs])
        for edge in own:
            at = place[edge.needs]
            if edge.back:
                kept.append(edge)
                continue
            if not covered >> at & 1 or edge.critical or edge.cycle:
                kept.append(edge)
            covered |= behind[at] | 1 << at
        behind.append(covered)
    return tuple(kept)
