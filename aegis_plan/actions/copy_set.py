"""Copies a set from one repository to another, as ciphertext and without any key. It never copies what it has not
compared with the signed record.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.repositories import copies, keys
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.sealing.signatures import verify


class CopySet:
    """Parameters: store, lineage, record, digest, source, target."""

    kind = "copy-set"

    def probe(self, context: Context) -> Probed:
        params = context.attempt.params
        target = context.repositories[params["target"]]
        key = record_key(context, params)
        if target.head(key) is None:
            return Probed("needed", f"{params['target']} has no record {params['record']}")
        problems = copies.prove(find(context, params, target), target, params["digest"])
        if problems:
            return Probed("needed", f"{params['target']}: {', '.join(problems)}")
        return Probed("satisfied", outputs={"record": params["record"], "bytes": 0})

    def act(self, context: Context) -> Done:
        params = context.attempt.params
        source, target = context.repositories[params["source"]], context.repositories[params["target"]]
        record = find(context, params, source)
        total = sum(stored.sealed_size for stored in record.objects)
        done = copies.copy(
            record,
            source,
            target,
            digest=params["digest"],
            sisters=_sisters(context, params["store"]),
            signers=sealing.believed if (sealing := context.declared.sealing) else {},
            stop=context.check,
            progress=lambda size: context.progress("copy", size, total),
        )
        problems = copies.prove(record, target, params["digest"])
        if problems:
            raise DamageError(
                "copy-not-proved",
                "a copy that was just made is not whole",
                f"{params['target']}: {', '.join(problems)}",
                "see what that storage does with what it accepts; the source is untouched",
            )
        return Done({"record": params["record"], "bytes": done})

    def undo(self, context: Context) -> Done:
        """A copy too many does no harm, and removing one is never done on the side."""
        return Done()


def _sisters(context: Context, store: str) -> dict[str, Repository]:
    """The store's repositories that can be used from here, for the newest form of a wrapped key."""
    backup = context.declared.stores[store].backup
    found = {}
    for name in backup.repositories if backup is not None else ():
        with suppress(AegisError):
            found[name] = context.repositories[name]
    return found


def record_key(context: Context, params: dict[str, Any]) -> str:
    """Where the record of the parameters lies."""
    return keys.record(context.declared.system.name, params["store"], params["lineage"], params["record"])


def find(context: Context, params: dict[str, Any], repository: Repository) -> SetRecord | LogRecord:
    """The verified record of the parameters. Raises as `signatures.verify`, and DamageError `wrong-digest`."""
    sealing = context.declared.sealing
    record, digest = verify(read(repository, record_key(context, params)), sealing.believed if sealing else {})
    if digest != params["digest"]:
        raise DamageError(
            "wrong-digest",
            "a record is not the one that was planned for",
            f"{repository.name}: {params['record']} has another digest than {params['digest'][:12]}",
            "make a new plan",
        )
    if not isinstance(record, SetRecord | LogRecord):
        raise AegisError(
            "record-without-objects", "a record names no objects", f"{record.id} is a {record.kind}", "make a new plan"
        )
    return record


ACTION = CopySet()
