"""What this site wrote last to each catalog, kept at the site: a record that is gone from every repository shows by it,
though no other record names it. One small file for each store, lineage and aspect; it never holds anything secret."""

from __future__ import annotations

import os
import threading
from pathlib import Path

FOLDER = "heads"


def remember(folder: Path, store: str, lineage: str, aspect: str, digest: str) -> None:
    """Keeps the digest of the newest record written from here; it names all that was known before it.

    `folder` is the site's. Raises OSError."""
    place = folder / FOLDER / store
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = place / f".{lineage}.{aspect}.{os.getpid()}-{threading.get_ident()}.new"
    with open(beside, "w", encoding="ascii") as file:
        file.write(digest + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(place / f"{lineage}.{aspect}")


def recall(folder: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """By store: `<lineage>/<aspect>` to the digests remembered. Empty where nothing can be read: it is a second look,
    and a site that forgot is told apart from one that never wrote by nothing."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    try:
        stores = [entry for entry in (folder / FOLDER).iterdir() if entry.is_dir()]
        for store in stores:
            for place in store.iterdir():
                lineage, _, aspect = place.name.rpartition(".")
                if aspect in ("data", "log") and not place.name.startswith("."):
                    digest = place.read_text(encoding="ascii").strip()
                    found.setdefault(store.name, {})[f"{lineage}/{aspect}"] = (digest,)
    except (OSError, ValueError):
        return found
    return found
