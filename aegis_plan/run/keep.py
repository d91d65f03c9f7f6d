"""Keeps the plan of a run in the run's folder, from where a resume takes it. It never replaces one."""

from __future__ import annotations

import os
from pathlib import Path

from aegis_plan.documents.digest import canonical
from aegis_plan.plan.plan import Plan

PLAN = "plan.json"


def keep(folder: Path, plan: Plan, digest: str) -> None:
    """Writes the plan file; when it returns it is on the disk."""
    path, beside = folder / PLAN, folder / f".{PLAN}"
    with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(b'{"digest":"%s","plan":%s}' % (digest.encode(), canonical(plan)))
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
