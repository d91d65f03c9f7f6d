"""Finds the pure half of a kind of store by the word that documents use for it. Never loads what acts."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from aegis_plan.documents.model import Store
from aegis_plan.errors import AegisError
from aegis_plan.stores.contract import StoreSpec

ENGINES: tuple[str, ...] = ("postgresql", "neo4j", "milvus")


def spec(engine: str) -> StoreSpec:
    """The spec of an engine.

    Raises AegisError `engine-unknown`, with the nearest known name."""
    if engine == "postgresql":
        from aegis_plan.stores.postgresql.spec import SPEC

        return SPEC
    if engine == "neo4j":
        from aegis_plan.stores.neo4j.spec import SPEC as NEO4J

        return NEO4J
    if engine == "milvus":
        from aegis_plan.stores.milvus.spec import SPEC as MILVUS

        return MILVUS
    from aegis_plan.documents.nearest import meant

    raise AegisError(
        "engine-unknown",
        "no such engine",
        f"'{engine}' is not a kind of store that this version knows; it knows {', '.join(ENGINES)}",
        meant(engine, ENGINES, f"write one of: {', '.join(ENGINES)}"),
    )


def server_fields(engine: str) -> type[BaseModel] | None:
    """The model of `members.<name>.server` of an engine, for the schema of the documents; None where it has none."""
    if engine == "postgresql":
        from aegis_plan.stores.postgresql.model import Server

        return Server
    if engine == "neo4j":
        from aegis_plan.stores.neo4j.model import Server as Neo4jServer

        return Neo4jServer
    if engine == "milvus":
        from aegis_plan.stores.milvus.model import Server as MilvusServer

        return MilvusServer
    return None


def packages(stores: Iterable[Store]) -> tuple[str, ...]:
    """Packages that drivers of these stores need beside what the tool needs anyway, by their names on PyPI."""
    lite = any(
        store.engine == "milvus" and member.server.get("mode") == "lite"
        for store in stores
        for member in store.members.values()
    )
    return ("milvus-lite",) if lite else ()
