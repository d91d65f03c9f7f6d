"""Asks each repository what names it holds: the stores, declared or not, and the days of the schedule's history. It
opens nothing of what lies there."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from aegis_plan.errors import AegisError
from aegis_plan.observe.snapshot import RoomsLook
from aegis_plan.repositories import keys, schedule_history
from aegis_plan.repositories.contract import Repository


def rooms(
    system: str, repositories: Mapping[str, Repository | AegisError], now: datetime, keep: timedelta
) -> tuple[RoomsLook, ...]:
    """History is to be kept for `keep`. Never raises for what cannot be looked at: that is part of the picture."""
    horizon = schedule_history.day_of(now - keep)

    def one(name: str) -> RoomsLook:
        found = repositories[name]
        try:
            if isinstance(found, AegisError):
                raise found
            return RoomsLook(
                repository=name,
                stores=found.folders(keys.stores_root(system)),
                history=schedule_history.days(found, system, horizon),
            )
        except AegisError as error:
            return RoomsLook(repository=name, reason=error.summary)

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="rooms") as pool:
        return tuple(pool.map(one, repositories))
