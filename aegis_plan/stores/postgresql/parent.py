"""The set on which an incremental builds: its record, the server's manifest of it, the hashes of its pages. It reads
them from whichever repository has them as planned, and says why it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from aegis_plan.actions.contract import Context
from aegis_plan.catalog.record import Record, SetRecord, StoredObject
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys
from aegis_plan.repositories.datakeys import load_key
from aegis_plan.repositories.reader import open_object, read_object
from aegis_plan.repositories.records import find
from aegis_plan.stores.fetcher import archives
from aegis_plan.stores.postgresql.model import BackupParams
from aegis_plan.stores.postgresql.pages import NAME, Pages, read_pages


@dataclass(frozen=True)
class Parent:
    """See the module."""

    context: Context
    record: SetRecord
    secret: bytes
    """Opens what a backup host may read of it."""

    def manifest(self) -> bytes | str:
        """What PostgreSQL said of its files, or why it cannot be read."""
        stored = archives(self.record).get("manifest")
        if not stored:
            return "the parent has no manifest"
        try:
            return read_object(self.context.repositories, stored[0], self.secret, damage=lambda _r, _w: None)
        except AegisError as error:
            return f"the parent's manifest cannot be read: {error}"

    def pages(self) -> Pages | str:
        """The hashes of its pages, or why there are none."""
        stored = archives(self.record).get(NAME)
        if not stored:
            return "the parent holds no hashes of its pages"
        try:
            return read_pages(chain.from_iterable(map(self._open, stored)), self.context.folder)
        except AegisError as error:
            return f"the hashes of the parent's pages cannot be read: {error}"

    def _open(self, stored: StoredObject) -> chain[bytes]:
        self.context.check()
        return chain(open_object(self.context.repositories, stored, self.secret, damage=lambda _r, _w: None))


def parent_of(context: Context, params: BackupParams) -> Parent | str:
    """The parent that was planned, or why it cannot be built upon."""
    if params.parent is None:
        return "no set was named to build on"
    system, sealing = context.declared.system.name, context.declared.sealing
    believed = sealing.believed if sealing else {}
    reasons = []
    record: Record | None = None
    key = keys.record(system, params.store, params.lineage, params.parent)
    for name in context.repositories:
        try:
            record, digest, _ = find(context.repositories[name], key, believed)
            if params.parent_digest in (None, digest):
                break
            record = None
            reasons.append(f"{name}: another record than was planned")
        except AegisError as error:
            reasons.append(f"{name}: {error.summary}")
    if not isinstance(record, SetRecord):
        return f"the parent's record cannot be read ({'; '.join(reasons)})"
    try:
        prefix = keys.data_key_prefix(system, params.store, params.lineage, record.key)
        secret = load_key(context.repositories, prefix, context.keys.identities, believed)
    except AegisError as error:
        return f"the parent's key cannot be read: {error}"
    if secret.meta is None:
        return "this site's identity does not open the parent's manifest"
    return Parent(context, record, secret.meta)
