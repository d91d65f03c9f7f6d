"""The step `create-slot`: the server keeps its log until a repository holds it. No slot without a limit, unless
accepted."""

from __future__ import annotations

import re

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.connection import Connection, ask, connect, connection_string
from aegis_plan.stores.postgresql.model import Slot, SlotParams

_NAME = re.compile(r"[a-z0-9_]{1,63}")


def default_name(store: str) -> str:
    return "aegis_" + store.replace("-", "_").replace(".", "_")


def checked(name: str) -> str:
    """The name, when a server would take it. Raises AegisError `slot-name-invalid`."""
    if not _NAME.fullmatch(name):
        raise AegisError(
            "slot-name-invalid",
            "a server would not take this name for a slot",
            name,
            "use lower case letters, digits and _, at most 63",
        )
    return name


def read_slot(connection: Connection, name: str, where: str) -> Slot | None:
    """The slot as the server shows it, or None."""
    rows = ask(
        connection,
        "SELECT slot_name::text, active, wal_status, restart_lsn::text, safe_wal_size, slot_type"
        f" FROM pg_replication_slots WHERE slot_name = '{checked(name)}'",
        where,
    )
    if not rows:
        return None
    if rows[0][5] != "physical":
        raise AegisError(
            "slot-not-physical", "a slot of that name has another use", f"{where}: {name}", "name another slot"
        )
    label, active, status, restart, safe, _ = rows[0]
    return Slot(name=label, active=active, wal_status=status, restart_lsn=restart, safe_bytes=safe)


class CreateSlot:
    """Reserve the log on the server."""

    kind = "create-slot"

    def probe(self, context: Context) -> Probed:
        params = SlotParams.model_validate(context.attempt.params)
        where = f"{params.store}/{params.member}"
        with connect(connection_string(context, params.store, params.member), where, context.check) as connection:
            found = read_slot(connection, params.slot, where)
        if found is None or found.wal_status == "lost" or found.restart_lsn is None:
            return Probed("needed")
        return Probed("satisfied", outputs={"slot": found.name, "restart_lsn": found.restart_lsn})

    def act(self, context: Context) -> Done:
        params = SlotParams.model_validate(context.attempt.params)
        where = f"{params.store}/{params.member}"
        with connect(connection_string(context, params.store, params.member), where, context.check) as connection:
            found = read_slot(connection, params.slot, where)
            if found is not None and found.wal_status != "lost" and found.restart_lsn is not None:
                return Done({"slot": found.name, "restart_lsn": found.restart_lsn})
            limit = ask(connection, "SHOW max_slot_wal_keep_size", where)[0][0]
            if limit == "-1" and not params.accept_unlimited:
                raise AegisError(
                    "slot-without-limit",
                    "a slot may fill the server's disk",
                    f"{where}: max_slot_wal_keep_size is -1, so that a slot nobody reads keeps log until the disk is "
                    "full",
                    "ALTER SYSTEM SET max_slot_wal_keep_size = '8GB'; SELECT pg_reload_conf(); or accept it in the "
                    "documents with backup.log.accept_unlimited_slot: true",
                )
            context.mark("making-slot", slot=params.slot)
            if found is not None:
                ask(connection, f"SELECT pg_drop_replication_slot('{params.slot}')", where)
                context.find(
                    "warning",
                    "log-hole",
                    "the log has a hole",
                    f"{where}: the slot {params.slot} was lost, and log that was not archived with it",
                    "a full follows, from which the log is whole again",
                )
            made = ask(
                connection, f"SELECT lsn::text FROM pg_create_physical_replication_slot('{params.slot}', true)", where
            )
        return Done({"slot": params.slot, "restart_lsn": made[0][0]})

    def undo(self, context: Context) -> Done:
        params = SlotParams.model_validate(context.attempt.params)
        if not any(mark.name == "making-slot" for mark in context.marks):
            return Done()
        where = f"{params.store}/{params.member}"
        with connect(connection_string(context, params.store, params.member), where, context.check) as connection:
            if read_slot(connection, params.slot, where) is not None:
                ask(connection, f"SELECT pg_drop_replication_slot('{params.slot}')", where)
        return Done()


ACTION = CreateSlot()
