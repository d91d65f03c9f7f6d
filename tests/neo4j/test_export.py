"""What an export brings back, on real servers: every type, odd names, every kind of index, and the truth about it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neo4j.spatial import CartesianPoint, WGS84Point
from neo4j.time import Date, DateTime, Duration, Time

from aegis_plan.cli.demo.neo4j_server import Neo4jServer
from aegis_plan.errors import AegisError
from tests.neo4j.rig import World, empty, everything
from tests.servers.neo4j import query

Servers = tuple[Neo4jServer, Neo4jServer]

# What no driver can be asked to send: written in Cypher. Each is one node.
EXACTLY = """
UNWIND [
  {a: datetime({epochSeconds: 1729989000, nanosecond: 1, timezone: 'Europe/Berlin'})},
  {a: datetime({epochSeconds: 1729992600, nanosecond: 999999999, timezone: 'Europe/Berlin'})},
  {a: datetime('2024-06-01T12:00:00.000000001+05:45')}, {a: datetime('1850-01-01T00:00:00Z')},
  {a: datetime('+12345-06-07T08:09:10.123456789Z')}, {a: localdatetime('-2000-01-01T00:00:00.5')},
  {a: date('-9999-01-01')}, {a: date('+99999-12-31')},
  {a: time('23:59:59.999999999-18:00')}, {a: time('00:00Z')}, {a: localtime('12:34:56.7')},
  {a: duration({months: -1, days: 40, seconds: -3, nanoseconds: 7})}, {a: duration({nanoseconds: -1})},
  {a: duration('P1Y2M3DT4H5M6.789S')}, {a: duration('PT0S')},
  {a: point({x: 1.5, y: -2.5})}, {a: point({x: 1, y: 2, z: 3})},
  {a: point({longitude: 179.9, latitude: -89.9})}, {a: point({longitude: 12.5, latitude: 56.7, height: -100.0})},
  {a: 9223372036854775807}, {a: -9223372036854775808}, {a: 0}, {a: 1}, {a: 1.0}, {a: -0.0}, {a: 5e-324},
  {a: 1.7976931348623157e308}, {a: 0.0/0.0}, {a: 1.0/0.0}, {a: -1.0/0.0}, {a: true}, {a: false},
  {a: ''}, {a: ' '}, {a: 'a`b"c\\'d'}, {a: '\\\\u0041'}, {a: '{"date": 1}'}, {a: '🜲 汉字 e\u0301'},
  {a: []}, {a: [1, 2]}, {a: [1.0, 0.0/0.0, -1.0/0.0]}, {a: [true, false]}, {a: ['', 'x']},
  {a: [date('2020-01-01'), date('+10000-01-01')]}, {a: [localtime('01:02')]}, {a: [time('01:02+03:00')]},
  {a: [localdatetime('2020-01-01T00:00')]},
  {a: [datetime('2020-01-01T00:00[Asia/Seoul]'), datetime('2020-01-01T00:00-03:30')]},
  {a: [duration('P1M'), duration('-P1D')]}, {a: [point({x: 1, y: 2}), point({x: 3, y: 4})]},
  {a: [point({longitude: 1, latitude: 2, height: 3})]}
] AS p
WITH collect(p) AS ps UNWIND range(0, size(ps) - 1) AS i CREATE (n {k: i}) SET n.`odd name` = ps[i].a
"""
SCHEMA = (
    "CREATE CONSTRAINT `k is one` FOR (n:Keyed) REQUIRE n.k IS UNIQUE",
    "CREATE CONSTRAINT two FOR (n:Keyed) REQUIRE (n.k, n.`b``c`) IS UNIQUE",
    "CREATE CONSTRAINT three FOR ()-[r:`of type`]-() REQUIRE r.id IS UNIQUE",
    "CREATE INDEX FOR (n:Keyed) ON (n.a, n.b)",
    "CREATE INDEX r1 FOR ()-[r:R]-() ON (r.a)",
    "CREATE TEXT INDEX t1 FOR (n:`Lab``el`) ON (n.`na\\u005Cme`)",
    "CREATE TEXT INDEX t2 FOR ()-[r:R]-() ON (r.t)",
    "CREATE POINT INDEX p1 FOR (n:Keyed) ON (n.p)"
    " OPTIONS {indexConfig: {`spatial.cartesian.min`: [-5.0, -5.0], `spatial.cartesian.max`: [5.0, 5.0]}}",
    "CREATE FULLTEXT INDEX f1 FOR (n:Keyed|`Lab``el`) ON EACH [n.a, n.`b``c`]"
    " OPTIONS {indexConfig: {`fulltext.analyzer`: 'english', `fulltext.eventually_consistent`: true}}",
    "CREATE FULLTEXT INDEX f2 FOR ()-[r:R|S]-() ON EACH [r.a]",
    "CREATE VECTOR INDEX v1 FOR (n:Keyed) ON (n.v)"
    " OPTIONS {indexConfig: {`vector.dimensions`: 3, `vector.similarity_function`: 'euclidean'}}",
    "CREATE VECTOR INDEX v2 FOR ()-[r:R]-() ON (r.v)"
    " OPTIONS {indexConfig: {`vector.dimensions`: 2, `vector.similarity_function`: 'cosine'}}",
    "DROP INDEX index_f7700477",
    "CREATE LOOKUP INDEX mine FOR ()-[r]-() ON EACH type(r)",
)


def test_every_type_and_every_kind_of_index_comes_back(world: World, servers: Servers, tmp_path: Path) -> None:
    source, target = servers
    query(source, EXACTLY)
    query(source, "CREATE (:Keyed:`Lab``el`:`\\u005Cu0041` {k: 'bytes', b: $b, e: $e, `b``c`: 1, `na\\u005Cme`: 'x'})",
          b=bytes(range(256)), e=b"")  # fmt: skip
    query(source, "MATCH (n {k: 1}), (m {k: 2}) CREATE (n)-[:R {a: 1}]->(n), (n)-[:R]->(m), (n)-[:R]->(m),"
          " (m)-[:`of type` {id: 7, at: datetime('2020-01-01T00:00Z'), d: [duration('P1D')]}]->(n)")  # fmt: skip
    for statement in SCHEMA:
        query(source, statement)
    record, site = world.backup()
    assert (record.consistency, record.details["nodes"]) == ("exact", len(query(source, "MATCH (n) RETURN n.k")))
    assert site.findings == []
    before = everything(source)
    empty(target)
    assert world.restore(record, target, tmp_path) == []
    assert everything(target) == before
    assert query(target, "MATCH (n {k: 'bytes'}) RETURN n.b, n.e") == [[bytes(range(256)), b""]]


@contextmanager
def writing(server: Neo4jServer, commits: list[tuple[datetime, datetime]]) -> Iterator[None]:
    """Somebody who commits all the time: new things, changed things, things gone again."""
    over = threading.Event()
    # Each of them alone can tear a read that is no snapshot.
    words = (
        "MERGE (n:Written {k: 'w' + $i}) SET n.x = timestamp() WITH n MATCH (m) WHERE m.k <> n.k WITH n, m LIMIT 1"
        " CREATE (n)-[:W {i: $i}]->(m)",
        "MATCH (n:Written) WITH n LIMIT 1 DETACH DELETE n",
        "MATCH (n:Written) SET n.y = $i",
    )

    def write() -> None:
        count = 0
        while not over.is_set():
            begun = datetime.now(UTC)
            query(server, words[count % 3], i=str(count % 7))
            commits.append((begun, datetime.now(UTC)))
            count += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
_NAME = _TEXT.filter(bool)
_INTEGER = st.integers(-(1 << 63), (1 << 63) - 1)
_ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
_FLOAT = st.floats(-1e6, 1e6)
_DATE = st.dates().map(Date.from_native)
_TIME = st.times().map(Time.from_native)
_LOCAL = st.datetimes().map(DateTime.from_native)
_DURATION = st.builds(
    Duration,
    months=st.integers(-999, 999),
    days=st.integers(-999, 999),
    seconds=st.integers(-9999, 9999),
    nanoseconds=st.integers(-999, 999),
)
_POINT = st.tuples(_FLOAT, _FLOAT).map(CartesianPoint)
_PLACE = st.tuples(st.floats(-180, 180), st.floats(-90, 90), _FLOAT).map(WGS84Point)
_ONE: tuple[st.SearchStrategy[Any], ...] = (
    _TEXT, _INTEGER, _ANY_FLOAT, st.booleans(), _DATE, _TIME, _LOCAL, _DURATION, _POINT, _PLACE,
)  # fmt: skip
_VALUE = st.one_of(*_ONE, st.binary(max_size=20), *(st.lists(one, max_size=3) for one in _ONE))
_PROPERTIES = st.dictionaries(_NAME.filter(lambda name: name != "k"), _VALUE, max_size=4)
_NODE = st.tuples(st.sets(st.sampled_from(["A", "B", "`", "ü\\u0041", " "]), max_size=3), _PROPERTIES)
_GRAPH = st.lists(_NODE, min_size=1, max_size=12).flatmap(
    lambda nodes: st.tuples(
        st.just(nodes),
        st.lists(
            st.tuples(
                st.integers(0, len(nodes) - 1),
                st.integers(0, len(nodes) - 1),
                st.sampled_from(["R", "S`", "\\"]),
                _PROPERTIES,
            ),
            max_size=20,
        ),
    )
)


def _name(name: str) -> str:
    return "`" + name.replace("\\", "\\u005C").replace("`", "``") + "`"


def put(server: Neo4jServer, graph: Any, schema: set[str]) -> None:
    nodes, relationships = graph
    for number, (labels, properties) in enumerate(nodes):
        text = "".join(f":{_name(label)}" for label in labels)
        query(server, f"CREATE (n{text}) SET n = $p", p={**properties, "k": number})
    for first, second, kind, properties in relationships:
        query(server, f"MATCH (a {{k: $a}}), (b {{k: $b}}) CREATE (a)-[r:{_name(kind)}]->(b) SET r = $p",
              a=first, b=second, p=properties)  # fmt: skip
    for statement in sorted(schema):
        query(server, statement)


def test_random_graphs_come_back_while_others_write(servers: Servers, sweep: bool, tmp_path_factory: Any) -> None:
    source, target = servers

    @settings(
        max_examples=200 if sweep else 4, derandomize=not sweep, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(graph=_GRAPH, schema=st.sets(st.sampled_from(SCHEMA[:12]), max_size=3))
    def check(graph: Any, schema: set[str]) -> None:
        base = tmp_path_factory.mktemp("case")
        empty(source)
        put(source, graph, schema)
        world = World(base / "world", source, {"exports": 1})
        commits: list[tuple[datetime, datetime]] = []
        with writing(source, commits):
            busy, _ = world.backup()
        during = [one for one in commits if busy.not_before <= one[0] and one[1] <= busy.not_after]
        assert busy.consistency == "fuzzy" or not during
        quiet, _ = world.backup()
        assert quiet.consistency == "exact"
        before = everything(source)
        for record in (busy, quiet):
            empty(target)
            # Whatever moment it is of, it is whole in itself: the product compares it with what it read.
            world.restore(record, target, base / record.set)
        assert everything(target) == before

    check()


def test_an_export_is_begun_anew_until_nobody_writes(world: World, servers: Servers) -> None:
    source = servers[0]
    query(source, "UNWIND range(1, 500) AS i CREATE (:N {k: i})")
    commits: list[tuple[datetime, datetime]] = []
    begun = threading.Event()
    world.fields = {"exports": 5}

    def write_a_little() -> None:
        with writing(source, commits):
            begun.wait(60)

    thread = threading.Thread(target=write_a_little)
    thread.start()
    threading.Timer(3.0, begun.set).start()
    record, site = world.backup()
    thread.join()
    assert record.consistency == "exact"
    assert not [one for one in commits if record.not_before <= one[0] and one[1] <= record.not_after]
    assert record.details["exports"] > 1
    assert site.findings == []
    # What the earlier ones left is gone again.
    sets = {path.name for path in (world.base / "repository").rglob("sets/*") if path.is_dir()}
    assert sets == {record.set}


def test_a_set_that_does_not_fit_is_not_accepted(world: World, servers: Servers, tmp_path: Path) -> None:
    source, target = servers
    query(source, "CREATE (:A {k: 1, v: 1.0})-[:R]->(:B {k: 2})")
    record, _ = world.backup()
    world.fetch(record, tmp_path)
    (tmp_path / "0.nodes").write_bytes((tmp_path / "0.nodes").read_bytes().replace(b"1.0", b"1"))
    empty(target)
    from neo4j import GraphDatabase

    from aegis_plan.stores.neo4j.load import bring_in, compare, read_all
    from aegis_plan.stores.neo4j.model import Manifest

    (one,) = Manifest.model_validate_json((tmp_path / "manifest").read_bytes()).databases
    site = world.site("load")
    with GraphDatabase.driver(target.connection, auth=("neo4j", target.password)) as driver:
        left = bring_in(site, driver, "target", tmp_path, 0, one)
        with pytest.raises(AegisError) as caught:
            compare(driver, "target", one, read_all(site, driver, "target", one.name), left)
    assert caught.value.code == "restored-data-differs"
    assert "nodes_sum" in caught.value.detail


def test_a_wrong_password_and_a_server_that_is_gone_are_told_apart(world: World) -> None:
    lineage = world.lineage()
    world.fields = {"password": "not this one"}
    with pytest.raises(AegisError) as caught:
        world.backup_of(lineage)
    assert caught.value.code == "login-refused"
    assert "not this one" not in str(caught.value)
    world.fields = {}
    world.server = Neo4jServer(world.server.home, 1, world.server.password)
    with pytest.raises(AegisError) as caught:
        world.backup_of(lineage)
    assert caught.value.code == "server-unreachable"


def test_another_history_is_not_backed_up_under_the_old_name(world: World) -> None:
    with pytest.raises(AegisError) as caught:
        world.backup_of("00" * 16)
    assert caught.value.code == "lineage-changed"
