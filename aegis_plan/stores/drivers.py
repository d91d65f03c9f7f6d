"""Finds the acting half of a kind of store; its client library is loaded only then."""

from __future__ import annotations

from aegis_plan.errors import AegisError
from aegis_plan.stores.driver import Driver
from aegis_plan.stores.specs import ENGINES


def driver(engine: str) -> Driver:
    """The driver of an engine. Raises AegisError `engine-unknown`."""
    if engine == "postgresql":
        from aegis_plan.stores.postgresql.driver import DRIVER

        return DRIVER
    if engine == "milvus":
        from aegis_plan.stores.milvus.driver import DRIVER as MILVUS

        return MILVUS
    if engine == "neo4j":
        from aegis_plan.stores.neo4j.driver import DRIVER as NEO4J

        return NEO4J
    raise AegisError(
        "engine-unknown",
        "no such engine",
        f"'{engine}' is not a kind of store that this version knows; it knows {', '.join(ENGINES)}",
        f"write one of: {', '.join(ENGINES)}",
    )
