"""The step that removes what the repositories remember of the schedule for longer than documents say. Pure."""

from __future__ import annotations

from aegis_plan.catalog.schedule_record import expired
from aegis_plan.documents.model import Documents
from aegis_plan.documents.scalars import span
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.publishing import signing_site
from aegis_plan.plan.step import Step, new_step

NAME = "schedule"


def prune_history(documents: Documents, snapshot: Snapshot) -> tuple[Step, ...]:
    """None where no day is past the retention, where a clock may have jumped, or where no site can do it."""
    keep = documents.schedule.history
    days = expired({day for one in snapshot.rooms for day in one.history}, snapshot.taken_at, keep)
    site = signing_site(documents, snapshot)
    if not days or not site:
        return ()
    what = f"{len(days)} days" if len(days) > 1 else "a day"
    return (
        new_step(
            "prune-history",
            id="schedule.prune-history",
            title=f"delete {what} of the history of the schedule, up to {days[-1]}",
            reason=f"it is kept for {span(keep.total_seconds())}",
            site=site,
            tier=0,
            phase="protect",
            subject=NAME,
            resource="_system/schedule-history",
            declared=("repositories/*", "sites/*"),
        ),
    )
