"""Putting databases in place, killed after every single rename: it goes on, and it goes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aegis_plan.cli.demo.neo4j_server import Neo4jServer
from aegis_plan.errors import AegisError
from aegis_plan.stores.neo4j import place
from aegis_plan.stores.neo4j.swap import ACTION, plan
from tests.neo4j.rig import Neo4jSite, World

RUN = "20261123T000000Z-abcdef"


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != place.NOTE
    }


class Case:
    """A home with old databases, and new ones staged beside."""

    def __init__(self, base: Path, logs: Path | None, system: bool) -> None:
        home = base / "home"
        (home / "conf").mkdir(parents=True)
        if logs is not None:
            (home / "conf" / "neo4j.conf").write_text(f"server.directories.transaction.logs.root={logs}\n")
        self.world = World(base / "world", Neo4jServer(home, 1, "x"))
        server = self.world.declared().stores["graph"].members["a"].server
        from aegis_plan.stores.neo4j.model import Server

        self.where = place.layout(Server.model_validate(server))
        self.names = ["neo4j", *(["system"] if system else [])]
        for kind, old, new in (
            ("databases", self.where.databases, self.where.staged / "databases"),
            ("transactions", self.where.transactions, self.where.staged_transactions),
        ):
            for name in ("neo4j", "system"):
                for folder, word in ((old, "old"), (new, "new")):
                    (folder / name).mkdir(parents=True)
                    (folder / name / "store").write_text(f"{word} {kind} {name}")
        place.write_note(self.where.staging, run=RUN, store="graph", state="loaded", outputs={"databases": self.names})

    def site(self) -> Neo4jSite:
        return self.world.site("swap", load="graph.load")

    def serves(self) -> dict[str, str]:
        return {**tree(self.where.databases), **{f"log {k}": v for k, v in tree(self.where.transactions).items()
                                                 if not k.startswith(".aegis")}}  # fmt: skip


@pytest.fixture(params=[(False, False), (True, False), (False, True), (True, True)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    elsewhere, system = request.param
    return lambda number: Case(tmp_path / str(number), tmp_path / str(number) / "logs" if elsewhere else None, system)


def test_a_kill_after_any_rename_is_survived_both_ways(make: Any) -> None:
    count = len(plan(make("count").where, RUN, make("names").names))
    assert count >= 4
    for done in range(count + 1):
        for way in ("on", "back"):
            case = make(f"{done}-{way}")
            before = case.serves()
            site = case.site()
            moves = plan(case.where, RUN, case.names)
            site.mark("moves", moves=[move.as_data() for move in moves])
            for move in moves[:done]:
                move.target.parent.mkdir(parents=True, exist_ok=True)
                move.source.rename(move.target)
            if way == "on":
                ACTION.act(site)
                assert {text.split()[0] for name, text in case.serves().items() if "neo4j" in name} == {"new"}
                ACTION.act(case.site())
                assert ACTION.probe(case.site()).answer == "satisfied"
            ACTION.undo(case.site())
            assert case.serves() == before
            ACTION.undo(case.site())
            assert case.serves() == before


def test_what_lies_in_the_way_is_never_overwritten(make: Any) -> None:
    case = make("way")
    moves = plan(case.where, RUN, case.names)
    site = case.site()
    site.mark("moves", moves=[move.as_data() for move in moves])
    inward = next(move for move in moves if move.kind == "in")
    aside = next(move for move in moves if move.target == inward.target or move.source == inward.target)
    aside.target.parent.mkdir(parents=True)
    aside.source.rename(aside.target)
    inward.target.mkdir()
    with pytest.raises(AegisError) as caught:
        ACTION.act(site)
    assert caught.value.code == "swap-unclear"


def test_nothing_is_swapped_that_was_not_loaded(make: Any) -> None:
    case = make("unloaded")
    place.write_note(case.where.staging, run=RUN, store="graph", state="staged", outputs={})
    before = case.serves()
    assert ACTION.probe(case.site()).answer == "unknown"
    with pytest.raises(AegisError) as caught:
        ACTION.act(case.site())
    assert caught.value.code == "nothing-loaded"
    assert case.serves() == before
