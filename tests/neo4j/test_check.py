"""What a Neo4j member lacks, and how it is seen: asked of a real server, each thing with its own words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aegis_plan.stores.neo4j.driver import DRIVER
from tests.neo4j.rig import World
from tests.servers.neo4j import query


def states(world: World) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in DRIVER.check(world.site("check"), "graph", "a").requirements:
        if found.get(one.code, "ok") == "ok":
            found[one.code] = one.state
    return found


def test_a_server_that_has_all_is_read(world: World) -> None:
    query(world.server, "CREATE (:A)-[:R]->(:B)")
    checked = DRIVER.check(world.site("check"), "graph", "a")
    assert {one.state for one in checked.requirements} == {"ok"}
    assert checked.read
    assert checked.size
    seen = DRIVER.look(world.site("look"), "graph", "a")
    assert (seen.state, seen.lineage) == ("primary", world.lineage())
    assert (seen.details["nodes"], seen.details["relationships"]) == (2, 1)
    assert (seen.details["edition"], seen.details["data_directory"]) == ("community", "readable")


def test_each_lack_is_told_by_itself(world: World) -> None:
    def lacking(**fields: Any) -> dict[str, str]:
        world.fields = fields
        return {code: state for code, state in states(world).items() if state != "ok"}

    assert lacking(password="wrong") == {"login-refused": "missing", "server-not-asked": "could_not_verify"}
    assert lacking(databases=["nowhere"])["database-missing"] == "missing"
    assert lacking(home="/nonexistent")["neo4j-not-here"] == "missing"
    assert lacking(admin="/nonexistent/admin") == {"neo4j-not-here": "missing"}
    assert lacking(run_as="nobody-of-that-name")["run-as-unknown"] == "missing"
    gone = replace(world, server=replace(world.server, port=1), base=world.base / "gone")
    assert states(gone)["server-not-asked"] == "could_not_verify"
    seen = DRIVER.look(gone.site("look"), "graph", "a")
    # A server runs on the data, though it does not answer there: that is not a stopped one.
    assert (seen.state, seen.lineage) == ("unreachable", None)
    assert "a server runs on its data" in seen.reason
