"""The mark that a plan was applied: one immutable object per plan digest in the state authority. Whoever makes it first
may apply; nobody removes it.
"""

from __future__ import annotations

import json
from datetime import datetime

from aegis_plan.clock import stamp
from aegis_plan.errors import DamageError, StaleError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository, read


def mark_used(authority: Repository, system: str, digest: str, run: str, who: str, host: str, now: datetime) -> None:
    """Claims the plan for this run; success when this run has it already. Raises StaleError `plan-applied`."""
    refuse_used(authority, system, digest, run)
    form = {"at": stamp(now), "format": 1, "host": host, "plan": digest, "run": run, "who": who}
    data = json.dumps(form, sort_keys=True, separators=(",", ":")).encode()
    try:
        authority.put(keys.used_plan(system, digest), data)
    except DamageError as error:
        if error.code != "object-conflict":
            raise
        refuse_used(authority, system, digest, run)


def refuse_used(authority: Repository, system: str, digest: str, run: str = "") -> None:
    """Raises StaleError `plan-applied` when another run claimed the plan."""
    key = keys.used_plan(system, digest)
    if authority.head(key) is None:
        return
    try:
        form = json.loads(read(authority, key))
        other, at = str(form["run"]), str(form["at"])
    except (ValueError, KeyError, TypeError):
        other, at = "an unreadable run", "an unknown time"
    if run and other == run:
        return
    raise StaleError(
        "plan-applied",
        "this plan was applied already",
        f"by run {other} at {at}",
        "make a new plan; to go on with a run that stopped, use `aegis resume`",
    )
