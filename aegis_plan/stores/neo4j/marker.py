"""The commit marker: whether anybody committed between two moments. It is the proof behind the word `exact`.

The bookmark of an empty read names the last transaction whose changes are in the store. A transaction that is being
committed may show in part before that: the second bookmark is taken only when all of those have ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis_plan.actions.contract import Context
from aegis_plan.stores.neo4j.connection import ask, speaking

if TYPE_CHECKING:
    from neo4j import Driver

_PATIENCE = 30.0


def marker(driver: Driver, database: str, where: str) -> str:
    """The bookmark that an empty read leaves."""
    with speaking(where), driver.session(database=database, default_access_mode="READ") as session:
        with session.begin_transaction() as transaction:
            transaction.run("RETURN 1").consume()
            transaction.commit()
        return " ".join(sorted(session.last_bookmarks().raw_values))


def closing(driver: Driver, database: str, where: str) -> set[str]:
    """Transactions of the database that are being committed or rolled back."""
    rows = ask(driver, database, "SHOW TRANSACTIONS YIELD transactionId, status, database", where)
    return {str(row[0]) for row in rows if str(row[1]).startswith("Closing") and row[2] == database}


def settled(context: Context, driver: Driver, database: str, where: str) -> str:
    """The marker after every commit that was under way has ended; empty where one did not end in time."""
    open_ = closing(driver, database, where)
    until = context.clock.monotonic() + _PATIENCE
    while open_:
        context.check()
        if context.clock.monotonic() > until:
            return ""
        context.clock.sleep(0.1)
        open_ &= closing(driver, database, where)
    return marker(driver, database, where)


def wait_quiet(context: Context, driver: Driver, database: str, where: str, quiet: float) -> None:
    """Returns once nobody committed for `quiet` seconds, or after ten times that."""
    begun = since = context.clock.monotonic()
    last = marker(driver, database, where)
    while context.clock.monotonic() - since < quiet and context.clock.monotonic() - begun < quiet * 10:
        context.check()
        context.progress("wait until nobody writes", unit="")
        context.clock.sleep(min(0.5, quiet / 4 or 0.1))
        now = marker(driver, database, where)
        if now != last:
            last, since = now, context.clock.monotonic()
