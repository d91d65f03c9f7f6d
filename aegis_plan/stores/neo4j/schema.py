"""Constraints and indexes of a database: read as the server tells them, made again, compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.neo4j.connection import ask
from aegis_plan.stores.neo4j.values import quoted

if TYPE_CHECKING:
    from neo4j import Driver

CONSTRAINTS = "SHOW CONSTRAINTS YIELD name, type, createStatement"
INDEXES = "SHOW INDEXES YIELD name, type, owningConstraint, createStatement"
COMMUNITY = ("UNIQUENESS", "RELATIONSHIP_UNIQUENESS", "NODE_PROPERTY_UNIQUENESS", "RELATIONSHIP_PROPERTY_UNIQUENESS")
"""Types of constraints that the Community edition has."""


def own_indexes(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Without those that belong to a constraint."""
    return [
        {name: row[name] for name in ("name", "type", "createStatement")}
        for row in rows
        if row["owningConstraint"] is None
    ]


def statement(text: str) -> str:
    """A statement as the server spelled it. It does not escape a backslash within a name, which Cypher would read."""
    return text.replace("\\", "\\u005C")


def rebuild(
    context: Context,
    driver: Driver,
    database: str,
    where: str,
    constraints: Iterable[Mapping[str, Any]],
    indexes: Iterable[Mapping[str, Any]],
) -> list[str]:
    """Makes them in an empty schema and waits for the indexes. Gives the types of what this edition does not have.

    Raises AegisError `neo4j-schema-refused`."""
    wanted = list(indexes)
    present = ask(driver, database, "SHOW INDEXES YIELD name, createStatement", where)
    kept = {row["createStatement"] for row in wanted}
    for name, text in present:
        if text not in kept:
            ask(driver, database, f"DROP INDEX {quoted(name)}", where)
    there = {text for _, text in present if text in kept}
    edition = ask(driver, database, "CALL dbms.components() YIELD edition", where)[0][0]
    left: list[str] = []
    make: list[Mapping[str, Any]] = []
    for row in constraints:
        if edition != "enterprise" and row["type"] not in COMMUNITY:
            left.append(str(row["type"]))
        else:
            make.append(row)
    for row in [*make, *(row for row in wanted if row["createStatement"] not in there)]:
        context.check()
        context.progress("constraints and indexes", unit="")
        try:
            ask(driver, database, statement(row["createStatement"]), where)
        except AegisError as error:
            raise AegisError(
                "neo4j-schema-refused",
                "the server refuses a constraint or an index of the backup",
                f"{where}: a {row['type']}: {error.detail}",
                "restore another set; a fuzzy one can hold two nodes of which only one was there at any moment",
            ) from None
    await_indexes(driver, database, where, context.check, context.clock.sleep)
    return left


def await_indexes(
    driver: Driver, database: str, where: str, check: Callable[[], None], sleep: Callable[[float], None]
) -> None:
    """Waits until every index is there. Raises AegisError `neo4j-index-failed`."""
    while True:
        check()
        rows = ask(driver, database, "SHOW INDEXES YIELD type, state", where)
        failed = sorted({str(kind) for kind, state in rows if state == "FAILED"})
        if failed:
            raise AegisError(
                "neo4j-index-failed",
                "an index cannot be built",
                f"{where}: {', '.join(failed)}",
                "see the server's log",
            )
        if all(state == "ONLINE" for _, state in rows):
            return
        sleep(0.2)
