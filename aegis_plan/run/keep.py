"""Keeps the plan of a run in the run's folder, from where a resume takes it. It never replaces one."""

from __future__ import annotations

import os
from pathlib import Path

PLAN = "plan.json"


def keep(folder: Path, plan: bytes) -> None:
    """Writes the plan file as it was read: its digest holds for these bytes, and not for those that another version
    makes of the same plan. When it returns it is on the disk."""
    path, beside = folder / PLAN, folder / f".{PLAN}"
    with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(plan)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
