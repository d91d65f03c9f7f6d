"""`aegis graph` as people and programs see it: every thing and every dependency, in each format, offline."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from aegis_plan.cli.main import main
from aegis_plan.documents.load import load
from aegis_plan.observe.snapshot import PastDuration
from aegis_plan.plan.plan import Intent
from aegis_plan.plan.planfile import write
from aegis_plan.plan.recover import plan_recovery
from tests.plan.world import a_range, a_set, member, shelf, snapshot

EXAMPLE = str(Path(__file__).parent.parent / "cases" / "graph")
CIRCLE = """\
aegis: v1
system: {name: rounds}
tiers: {1: {name: critical}, 2: {name: rest}}
sites: {main: {}}
services:
  login: {tier: 1, uses: [profile]}
  profile: {tier: 1, uses: [session]}
  session: {tier: 1, uses: [login]}
  shop: {tier: 2, uses: [login, catalog]}
  catalog: {tier: 2}
  alone: {tier: 2, uses: [alone]}
"""
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    past = tuple(
        PastDuration(action=action, subject="policy-db", count=3, seconds=seconds)
        for action, seconds in (("stage", 1200.0), ("replay", 300.0), ("swap", 1.0), ("backup", 2.0))
    )
    seen = snapshot(
        shelf(a_set("F1", 0, 0x1000, 0x2000), a_range("l1", 20, 0x1000, 0x3000)), member("stopped"), durations=past
    )
    intent = Intent(kind="recover", scenario="database-failure", stores=("policy-db",), to="latest")
    path = tmp_path / "recovery.plan"
    path.write_bytes(write(plan_recovery(load(Path(EXAMPLE)).documents, seen, intent, "d", "test")))
    return path


def drawn(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["graph", *arguments]) == 0
    return capsys.readouterr().out


def test_text_shows_each_thing_once_below_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    out = drawn(capsys, EXAMPLE)
    assert out.splitlines() == [
        "aegis: 1 store, 5 services, 2 sites",
        "",
        "policy-db  postgresql store · tier 1 · seoul, busan",
        "├─ policy-search  tier 1 · seoul, busan",
        "│  └─ admin-dashboard  tier 2 · seoul, busan",
        "├─ user-authentication  tier 1 · seoul, busan",
        "│  └─ data-pipeline  tier 2 · seoul, busan",
        "└─ reporting  tier 3 · seoul",
    ]
    assert max(len(line) for line in out.splitlines()) <= 80


def test_a_plain_terminal_gets_plain_letters() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aegis_plan", "graph", EXAMPLE],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()
    assert b"|  `- admin-dashboard" in done.stdout


def test_json_holds_every_dependency_that_others_do_not_imply(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(drawn(capsys, "--json", EXAMPLE))
    assert data["format"] == 1
    assert data["tiers"] == {"1": "critical", "2": "important", "3": "standard"}
    edges = {(edge["node"], edge["needs"]) for edge in data["edges"]}
    assert ("services/data-pipeline", "services/user-authentication") in edges
    assert ("services/user-authentication", "stores/policy-db") in edges
    # It uses the store too, but cannot be back before user-authentication is, which needs the store.
    assert ("services/data-pipeline", "stores/policy-db") not in edges
    assert {node["id"] for node in data["nodes"]} >= {"stores/policy-db", "services/reporting"}


def test_sites_show_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(drawn(capsys, "--type", "sites", "--json", EXAMPLE))
    at_busan = {edge["node"] for edge in data["edges"] if edge["needs"] == "sites/busan"}
    assert {"stores/policy-db/busan-1", "repositories/s3-busan", "services/policy-search"} <= at_busan
    assert "services/reporting" not in at_busan


def test_a_scenario_shows_its_own_steps_and_what_it_strikes(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(drawn(capsys, "--scenario", "datacenter-outage", "--json", EXAMPLE))
    nodes = {node["id"]: node for node in data["nodes"]}
    assert nodes["policy-db comes back"]["hit"]
    names = list(nodes)
    for before, after in (
        ("declare.call-out", "policy-db comes back"),
        ("policy-db comes back", "policy-search.start"),
        ("policy-search.health", "admin-dashboard.start"),
        ("data-pipeline.health", "traffic.point-load-balancer-to-busan"),
        ("traffic.point-load-balancer-to-busan", "notify.tell-stakeholders"),
    ):
        assert names.index(before) < names.index(after)
    said = {"critical": False, "gate": False, "cycle": False}
    assert {"node": "policy-db comes back", "needs": "declare.call-out", **said} in data["edges"]


def test_a_plan_shows_its_critical_path_in_every_format(plan_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(drawn(capsys, "--plan", str(plan_file), "--json"))
    path = [node["id"] for node in data["nodes"] if node["critical"]]
    assert path
    assert len(path) < len(data["nodes"])
    marked = [(edge["needs"], edge["node"]) for edge in data["edges"] if edge["critical"]]
    assert marked == list(pairwise(path))
    text = drawn(capsys, "--plan", str(plan_file))
    assert re.findall(r"\* (\S+\.\S+)", text) == path
    assert "* on the critical path" in text
    dot = drawn(capsys, "--plan", str(plan_file), "--format", "dot")
    assert len(re.findall(r"-> .*penwidth=3", dot)) == len(marked)
    mermaid = drawn(capsys, "--plan", str(plan_file), "--format", "mermaid")
    assert mermaid.count(" ==> ") == len(marked)
    svg = ElementTree.fromstring(drawn(capsys, "--plan", str(plan_file), "--format", "svg"))
    said = [text.text for text in svg.iter(f"{SVG}text") if text.get("class") == "tag"]
    assert said == ["CRITICAL"] * len(path)
    assert (
        len([one for one in svg.iter(f"{SVG}path") if (one.get("class") or "").startswith("edge path")])
        == len(marked) + 1
    )  # legend


def test_a_plan_shows_what_waits_for_the_gates_of_more_critical_tiers(
    plan_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads(drawn(capsys, "--plan", str(plan_file), "--json"))
    gates = {(edge["node"], edge["needs"]) for edge in data["edges"] if edge["gate"]}
    assert gates
    tier = {node["id"]: node["tier"] for node in data["nodes"]}
    assert all(tier[needs] < tier[node] and needs.endswith(".health") for node, needs in gates)
    behind = {edge["node"] for edge in data["edges"]}
    assert {name for name in tier if name.endswith(".start") and tier[name] > 1} <= behind
    assert drawn(capsys, "--plan", str(plan_file), "--format", "mermaid").count("tier gate") == len(gates)
    assert drawn(capsys, "--plan", str(plan_file), "--format", "dot").count('label="tier gate"') == len(gates)
    svg = ElementTree.fromstring(drawn(capsys, "--plan", str(plan_file), "--format", "svg"))
    assert len([one for one in svg.iter(f"{SVG}path") if (one.get("class") or "").endswith("gate")]) == len(gates) + 1
    assert any((one.text or "").startswith("waits for the health gates") for one in svg.iter(f"{SVG}text"))
    assert "tier gate: waits for the health gates" in drawn(capsys, "--plan", str(plan_file))


def test_svg_needs_nothing_else_and_follows_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    out = drawn(capsys, "--format", "svg", EXAMPLE)
    tree = ElementTree.fromstring(out)
    assert "prefers-color-scheme: dark" in out
    assert re.findall(r"https?://[^\"]*", out) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|@import|url\((?!#)|<script|<image", out)
    names = {text.text for text in tree.iter(f"{SVG}text") if text.get("class") == "name"}
    assert len(names) == 6
    boxes = [box for box in tree.iter(f"{SVG}rect") if (box.get("class") or "").startswith("box")]
    corners = sorted((float(box.attrib["x"]), float(box.attrib["y"])) for box in boxes)
    wide, high = float(boxes[0].attrib["width"]), float(boxes[0].attrib["height"])
    for at, (x, y) in enumerate(corners):
        assert 0 <= x <= float(tree.attrib["width"]) - wide
        assert 0 <= y <= float(tree.attrib["height"]) - high
        assert not [other for other in corners[at + 1 :] if abs(other[0] - x) < wide and abs(other[1] - y) < high]


def test_a_target_brings_what_it_needs_and_what_hangs_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(drawn(capsys, "--target", "policy-search", "--json", EXAMPLE))
    assert [node["name"] for node in data["nodes"]] == ["policy-db", "policy-search", "admin-dashboard"]
    assert main(["graph", "--target", "policy-serch", EXAMPLE]) == 64
    assert "did you mean 'policy-search'?" in capsys.readouterr().err


def test_circles_are_refused_unless_they_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "circle.yaml"
    file.write_text(CIRCLE)
    assert main(["graph", str(file)]) == 1
    assert "error[dependency-cycle]" in capsys.readouterr().err
    data = json.loads(drawn(capsys, "--draw-cycles", "--json", str(file)))
    assert data["cycles"] == [["alone", "alone"], ["login", "profile", "session", "login"]]
    marked = {(edge["node"], edge["needs"]) for edge in data["edges"] if edge["cycle"]}
    assert len(marked) == 4
    assert len(data["edges"]) == 6
    text = drawn(capsys, "--draw-cycles", str(file))
    assert "circle: login -> profile -> session -> login" in text
    assert all(name in text for name in ("shop", "catalog", "alone"))
    assert drawn(capsys, "--draw-cycles", "--format", "mermaid", str(file)).count("-. circle .->") == 4
    assert drawn(capsys, "--draw-cycles", "--format", "dot", str(file)).count('label="circle"') == 4
    ElementTree.fromstring(drawn(capsys, "--draw-cycles", "--format", "svg", str(file)))
    # What else is wrong is still told.
    file.write_text(CIRCLE.replace("catalog]", "katalog]"))
    assert main(["graph", "--draw-cycles", str(file)]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--plan", "x.plan", "--scenario", "y"],
        ["--type", "sites", "--scenario", "y"],
        ["--type", "plan"],
        ["--type", "scenario", EXAMPLE],
    ],
)
def test_one_drawing_shows_one_thing(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", *arguments]) == 64
    assert "graph-of-what" in capsys.readouterr().err


def test_no_secret_is_needed_or_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("text", "dot", "mermaid", "json", "svg"):
        assert "POLICY_DB" not in drawn(capsys, "--format", form, EXAMPLE)


@pytest.mark.parametrize(
    ("words", "found"),
    [("graph --scenario d", ["datacenter-outage", "database-failure"]), ("graph --target policy-s", ["policy-search"])],
)
def test_the_shell_completes_names(words: str, found: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from aegis_plan.cli.main import root; root(prog_name='aegis')"],
        cwd=EXAMPLE,
        env={
            **os.environ,
            "_AEGIS_COMPLETE": "bash_complete",
            "COMP_WORDS": f"aegis {words}",
            "COMP_CWORD": str(len(words.split())),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert sorted(line.partition(",")[2] for line in done.stdout.split()) == sorted(found)
