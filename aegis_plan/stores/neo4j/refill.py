"""Puts an unsealed export of Neo4j into an empty server without Aegis Plan: one file, for a Python 3.9 or later with
the library `neo4j`. It reads what `unseal.py set` wrote, and replaces nothing that is there.

    python refill-neo4j.py SET ADDRESS [--user NAME]

SET is the folder with `manifest` in it. The password is read from the environment variable SECRET. It counts what it
made, and ends with 1 where that is not what was backed up.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH = 2000


class Wrong(Exception):
    """Told to people as it is."""


def quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\u005C").replace("`", "``") + "`"


def together(kind: str, value: str) -> str:
    """Cypher that makes a value of the pieces in which it was kept."""
    if kind.startswith("list of "):
        return f"[x IN {value} | {together(kind[8:], 'x')}]"
    if kind == "zoned datetime":
        return f"datetime({{epochSeconds: {value}[0], nanosecond: {value}[1], timezone: {value}[2]}})"
    if kind == "duration":
        return f"duration({{months: {value}[0], days: {value}[1], seconds: {value}[2], nanoseconds: {value}[3]}})"
    if kind.startswith("point"):
        third = f", z: {value}[3]" if kind == "point/4" else ""
        return f"point({{srid: {value}[0], x: {value}[1], y: {value}[2]{third}}})"
    made = {"date": "date", "local time": "localtime", "zoned time": "time", "local datetime": "localdatetime"}
    return f"{made[kind]}({value})"


def split(properties: dict[str, Any]) -> tuple[dict[str, Any], tuple[tuple[str, str], ...], list[Any]]:
    """What the server takes as it is, and what Cypher has to put together: name, type, pieces."""
    plain, shape, pieces = {}, [], []
    for name, value in properties.items():
        if not isinstance(value, dict):
            plain[name] = value
            continue
        ((kind, inner),) = value.items()
        if kind == "float":
            plain[name] = float(inner)
        elif kind == "list of float":
            plain[name] = [float(one) for one in inner]
        elif kind == "bytes":
            plain[name] = base64.b64decode(inner)
        else:
            sample = inner[0] if kind.startswith("list of ") else inner
            shape.append((name, f"{kind}/{len(sample)}" if "point" in kind else kind))
            pieces.append(inner)
    return plain, tuple(shape), pieces


def rows(path: Path) -> Iterator[list[Any]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield json.loads(line)


def batches(path: Path) -> Iterator[list[list[Any]]]:
    waiting: list[list[Any]] = []
    for row in rows(path):
        waiting.append(row)
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def refilled(options: argparse.Namespace) -> str:
    from neo4j import GraphDatabase

    manifest = json.loads((options.set / "manifest").read_bytes())
    if manifest["kind"] != "export":
        raise Wrong("this set holds dumps: load them with neo4j-admin")
    told = []
    with GraphDatabase.driver(options.address, auth=(options.user, os.environ.get("SECRET", ""))) as driver:
        for number, one in enumerate(manifest["databases"]):
            with driver.session(database=one["name"]) as session:
                told.append(graph(session, options.set, number, one))
    return "; ".join(told)


def graph(session: Any, folder: Path, number: int, one: dict[str, Any]) -> str:
    from neo4j.exceptions import Neo4jError

    if session.run("MATCH (n) RETURN count(n)").single()[0]:
        raise Wrong(f"database {one['name']} is not empty")
    version = session.run("CALL dbms.components() YIELD versions RETURN versions[0]").single()[0]
    older = "CYPHER 5 " if int(version.split(".")[0]) > 5 else ""
    new: dict[int, int] = {}
    for batch in batches(folder / f"{number}.nodes"):
        for (labels, shape), found in grouped(batch, lambda row: (tuple(row[1]), row[0], row[2])).items():
            made = f"CREATE (x{''.join(':' + quoted(label) for label in labels)}) {setting(shape)} RETURN r[0], id(x)"
            new.update((old, now) for old, now in session.run(f"{older}UNWIND $rows AS r {made}", rows=found))
    links = 0
    for batch in batches(folder / f"{number}.relationships"):
        moved = [[(new[begin], new[end]), kind, properties] for begin, end, kind, properties in batch]
        for (kind, shape), found in grouped(moved, lambda row: (row[1], row[0], row[2])).items():
            begin = "MATCH (a) WHERE id(a) = r[0][0] MATCH (b) WHERE id(b) = r[0][1]"
            made = f"CREATE (a)-[x:{quoted(kind)}]->(b) {setting(shape)}"
            done = session.run(f"{older}UNWIND $rows AS r {begin} {made}", rows=found).consume()
            links += done.counters.relationships_created
    there = {row["createStatement"] for row in session.run("SHOW INDEXES YIELD createStatement")}
    for wanted in (*one["constraints"], *one["indexes"]):
        if wanted["createStatement"] not in there:
            try:
                session.run(wanted["createStatement"].replace("\\", "\\u005C")).consume()
            except Neo4jError as error:  # an edition may not have it; what holds data is there by now
                print(f"warning: not made: {wanted['createStatement']}: {error}", file=sys.stderr)
    counts = one["counts"]
    if (len(new), links) != (counts["nodes"], counts["relationships"]):
        raise Wrong(f"{len(new)} nodes and {links} relationships, and it were {counts}")
    return f"{one['name']}: {len(new)} nodes, {links} relationships"


def grouped(batch: list[list[Any]], parts: Any) -> dict[Any, list[list[Any]]]:
    found: dict[Any, list[list[Any]]] = {}
    for row in batch:
        what, first, properties = parts(row)
        plain, shape, pieces = split(properties)
        found.setdefault((what, shape), []).append([first, plain, pieces])
    return found


def setting(shape: tuple[tuple[str, str], ...]) -> str:
    more = [f"x.{quoted(name)} = {together(kind, f'r[2][{at}]')}" for at, (name, kind) in enumerate(shape)]
    return f"SET {', '.join(['x = r[1]', *more])}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("address")
    parser.add_argument("--user", default="neo4j")
    options = parser.parse_args()
    try:
        print(refilled(options))
    except (Wrong, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
