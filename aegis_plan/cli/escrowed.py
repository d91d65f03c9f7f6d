"""Secret references that the stores of a site need and that resolve to nothing here. It shows names, never values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aegis_plan.documents.model import Documents


def unset(documents: Documents, plans: Path, site: str, escrow: Path | None) -> list[str]:
    """One line each for what has to be set before a store of the site can be worked on."""
    from aegis_plan.documents.secrets import references
    from aegis_plan.errors import AegisError
    from aegis_plan.site.secrets import Resolver

    secrets = Resolver(os.environ, plans.parent / "site")
    lines = []
    for place, text in _texts(documents, site):
        try:
            found = references(text)
        except ValueError:
            continue
        for reference in found:
            try:
                secrets.text(str(reference))
            except AegisError:
                lines.append(f"Not set here: {reference}, for {place}")
    return list(dict.fromkeys(lines))


def _texts(documents: Documents, site: str) -> Iterator[tuple[str, str]]:
    for name, store in documents.stores.items():
        for member, declared in store.members.items():
            if declared.site != site:
                continue
            yield f"stores/{name}/members/{member}", declared.connection
            for field, value in declared.server.items():
                if isinstance(value, str):
                    yield f"stores/{name}/members/{member}/server/{field}", value
