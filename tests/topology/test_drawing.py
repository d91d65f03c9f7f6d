"""Drawings of random graphs: nothing that matters is left out, nothing lies on anything else, nothing is mistyped."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from xml.etree import ElementTree

import networkx
import pytest

from aegis_plan.report.drawing import Drawing, DrawnEdge, DrawnNode, around, drawing
from aegis_plan.report.graph_dot import graph_dot
from aegis_plan.report.graph_mermaid import graph_mermaid
from aegis_plan.report.graph_svg import graph_svg
from aegis_plan.report.layers import place


def random_drawing(random: Random, *, circles: bool = False) -> tuple[Drawing, networkx.DiGraph[str]]:
    count = random.randrange(1, 30)
    nodes = [DrawnNode(f"n{at}", f"name {at}", "service", (), random.randrange(1, 4)) for at in range(count)]
    random.shuffle(nodes)
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(node.id for node in nodes)
    for _ in range(random.randrange(3 * count)):
        one, other = random.randrange(count), random.randrange(count)
        if circles or one > other:
            graph.add_edge(f"n{one}", f"n{other}")
    return drawing("services", "t", nodes, [DrawnEdge(*edge) for edge in graph.edges]), graph


@pytest.mark.parametrize("seed", range(40))
def test_only_what_follows_from_others_is_left_out(seed: int) -> None:
    drawn, graph = random_drawing(Random(seed))
    assert {(edge.node, edge.needs) for edge in drawn.edges} == set(networkx.transitive_reduction(graph).edges)
    places = {node.id: at for at, node in enumerate(drawn.nodes)}
    assert set(places) == set(graph)
    assert all(places[edge.needs] < places[edge.node] for edge in drawn.edges)


@pytest.mark.parametrize("seed", range(40))
def test_circles_keep_every_edge_and_break_open(seed: int) -> None:
    drawn, graph = random_drawing(Random(seed), circles=True)
    knots = list(networkx.strongly_connected_components(graph))
    inside = {edge for edge in graph.edges if any(edge[0] in knot and edge[1] in knot for knot in knots)}
    assert {(edge.node, edge.needs) for edge in drawn.edges if edge.cycle} == inside
    rest = networkx.DiGraph([(edge.node, edge.needs) for edge in drawn.edges if not edge.back])
    assert networkx.is_directed_acyclic_graph(rest)
    names = {node.name: node.id for node in drawn.nodes}
    for circle in drawn.cycles:
        assert circle[0] == circle[-1]
        assert all(graph.has_edge(names[one], names[other]) for one, other in pairwise(circle))
    assert len(drawn.cycles) == len([knot for knot in knots if len(knot) > 1 or graph.has_edge(*([*knot] * 2))])


@pytest.mark.parametrize("seed", range(40))
def test_boxes_stand_behind_what_they_need_and_apart(seed: int) -> None:
    drawn, _ = random_drawing(Random(seed), circles=seed % 2 == 0)
    placed = place(drawn, 50, 10)
    for edge in drawn.edges:
        assert edge.back or placed.layer[edge.needs] < placed.layer[edge.node]
    for layer in range(placed.layers):
        row = sorted(placed.across[node.id] for node in drawn.nodes if placed.layer[node.id] == layer)
        assert all(other - one >= 50 - 1e-6 for one, other in pairwise(row))
    assert len(placed.routes) == len(drawn.edges)


@pytest.mark.parametrize("seed", range(10))
def test_a_target_has_its_ancestors_and_descendants(seed: int) -> None:
    drawn, graph = random_drawing(Random(seed))
    chosen = drawn.nodes[len(drawn.nodes) // 2]
    part = around(drawn, chosen.name)
    assert part is not None
    wanted = {chosen.id} | networkx.ancestors(graph, chosen.id) | networkx.descendants(graph, chosen.id)
    assert {node.id for node in part.nodes} == wanted


NASTY = 'a"b\\c <end> & `x` #1 {x} [y] |z| --> %% "\n\x07 한국 😀'


def test_odd_texts_do_not_break_a_format() -> None:
    nodes = [DrawnNode(NASTY, NASTY, "step", (NASTY,)), DrawnNode("end", "end", "store", ("subgraph",))]
    drawn = drawing("plan", NASTY, nodes, [DrawnEdge("end", NASTY)], notes=[NASTY])
    ElementTree.fromstring(graph_svg(drawn))
    for line in graph_dot(drawn).splitlines():
        assert len([at for at, letter in enumerate(line) if letter == '"' and not odd_slashes(line, at)]) % 2 == 0
    mermaid = graph_mermaid(drawn).splitlines()
    assert mermaid[0] == "flowchart LR"
    labels = [line for line in mermaid if line.startswith(("  n0[", "  n1["))]
    assert [line.count('"') for line in labels] == [2, 2]
    assert not any(mark in labels[0].partition('"')[2].replace("<br/>", "") for mark in ("<", ">", "`", "&"))


def odd_slashes(line: str, at: int) -> bool:
    before = line[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1
