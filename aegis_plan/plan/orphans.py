"""Stores of which repositories hold something and that the documents do not name: told of, and never pruned. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.plan import PlanFinding


def orphans(documents: Documents, snapshot: Snapshot) -> Mapping[str, tuple[str, ...]]:
    """Each by name, with the repositories that hold something of it."""
    known = set(documents.stores) | {name for store in documents.stores.values() for name in store.formerly}
    found: dict[str, tuple[str, ...]] = {}
    for look in snapshot.rooms:
        for name in look.stores:
            if name not in known:
                found[name] = (*found.get(name, ()), look.repository)
    return dict(sorted(found.items()))


def told(documents: Documents, snapshot: Snapshot) -> Iterator[PlanFinding]:
    for name, places in orphans(documents, snapshot).items():
        yield PlanFinding(
            severity="note",
            code="store-orphaned",
            summary="repositories hold backups of a store that the documents do not name",
            detail=f"{name}: in {', '.join(places)}",
            hint="nothing of it is ever pruned; declare it again to restore it, or remove it there by hand",
            subject=name,
        )
