"""The part of the documents that travels with an attempt: no more than its step names. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from aegis_plan.documents.model import Documents
from aegis_plan.errors import AegisError

SECTIONS = ("tiers", "sites", "services", "stores", "repositories", "scenarios")


def excerpt(documents: Documents, names: Iterable[str]) -> Documents:
    """The system, the sealing and what the names say: `stores/policy-db`, `repositories/*`, `state`.

    Raises AegisError `not-declared` when a name stands for nothing."""
    kept: dict[str, dict[str, object]] = {section: {} for section in SECTIONS}
    state = None
    for name in names:
        section, _, which = name.partition("/")
        if name == "state":
            state = documents.state
            continue
        declared = getattr(documents, section) if section in SECTIONS else {}
        if which == "*" and section in SECTIONS:
            kept[section].update(declared)
        elif which in declared:
            kept[section][which] = declared[which]
        else:
            raise AegisError(
                "not-declared",
                "a name stands for nothing in the documents",
                f"'{name}' is not declared",
                "make a new plan from the present documents",
            )
    sections = {section: dict(sorted(entries.items())) for section, entries in kept.items()}
    return documents.model_copy(update={"state": state, **sections})
