"""The sites of documents that may be broken otherwise: a run that has begun goes on while somebody mends them. It tells
no problem; `load` does.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from aegis_plan.documents.load import document_files, read_document
from aegis_plan.documents.model import Site
from aegis_plan.documents.source import parse
from aegis_plan.errors import AegisError


def readable_sites(folder: Path) -> dict[str, Site]:
    """Every site that can be read, with an absolute path of its site file.

    Raises UsageError `documents-missing`."""
    base = (folder if folder.is_dir() else folder.parent).absolute()
    found: dict[str, Site] = {}
    for file in document_files(folder):
        try:
            nodes = parse(read_document(file), str(file))
        except AegisError:
            continue
        for node in nodes:
            for path, site in node.each(("sites", "*")):
                try:
                    known = Site.model_validate(site.plain())
                except ValidationError:
                    continue
                where = os.path.normpath(os.path.join(base, os.path.expanduser(known.file))) if known.file else ""
                found.setdefault(str(path[1]), known.model_copy(update={"file": where}))
    return found
