"""What the first look at the repositories of a store leaves in doubt, and what a second one may still not say, because
others write while it goes on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from aegis_plan.catalog.ending import buried, endings
from aegis_plan.catalog.record import LogRecord, Record, SetRecord
from aegis_plan.repositories.view import Believed, View

SETTLE = 0.5
"""Seconds between the looks: a writer puts a record into one repository after the other."""
LATELY = timedelta(hours=1)
"""A record that its site wrote so long before its newest was not being written during the first look."""


def doubtful(views: Mapping[str, View], seen: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The repositories that have to be listed again before what they lack is believed."""
    reached = {name: view for name, view in views.items() if not view.reason}
    known = _known(reached)
    digests_known = {digest for _, digest in known.values()} | buried(record for record, _ in known.values())
    lately = _Lately(known)
    gone = any(digest not in digests_known for heads in seen.values() for digest in heads) or any(
        digest not in digests_known
        for record, _ in known.values()
        if lately.wrote(record)
        for digest in record.previous
    )
    if gone:
        return list(reached)
    ended = _ended(known)
    copied = [
        record for record, _ in known.values() if isinstance(record, SetRecord | LogRecord) and record.id not in ended
    ]
    return [name for name, view in reached.items() if _in_doubt(view, copied, lately)]


def _in_doubt(view: View, copied: list[SetRecord | LogRecord], lately: _Lately) -> bool:
    if any(damage.kind in ("unreadable-record", "unreadable-keys") for damage in view.damage):
        return True
    return any(bool(view.lacks(record)) if record.id in view.records else lately.wrote(record) for record in copied)


def leave_out_unsettled(first: Mapping[str, View], views: Mapping[str, View]) -> None:
    """Takes sets and ranges out of the views that only the second look shows, and not whole in every repository: they
    may still be on their way. They stay where a record that the first look showed names them."""
    before = _known(first)
    after = _known(views)
    ended = _ended(after)
    named = {digest for identity, (record, _) in after.items() if identity in before for digest in record.previous}
    new = sorted((identity for identity in after if identity not in before), reverse=True)
    while needed := [identity for identity in new if after[identity][1] in named]:
        for identity in needed:
            named.update(after[identity][0].previous)
        new = [identity for identity in new if identity not in needed]
    reached = [view for view in views.values() if not view.reason]
    for identity in new:
        record = after[identity][0]
        if not isinstance(record, SetRecord | LogRecord) or identity in ended:
            continue
        if not all(view.holds(record) for view in reached):
            for view in reached:
                view.records.pop(identity, None)


def digests(views: Mapping[str, View]) -> set[str]:
    return {digest for view in views.values() for _, digest in view.records.values()}


def _known(views: Mapping[str, View]) -> dict[str, Believed]:
    return {identity: entry for view in views.values() for identity, entry in view.records.items()}


def _ended(known: Mapping[str, Believed]) -> set[str]:
    return set(endings(record for record, _ in known.values()))


class _Lately:
    """Which records are young, by the clock of the site that wrote them."""

    def __init__(self, known: Mapping[str, Believed]) -> None:
        self._newest: dict[str, datetime] = {}
        for record, _ in known.values():
            newest = self._newest.get(record.site)
            if newest is None or record.written > newest:
                self._newest[record.site] = record.written

    def wrote(self, record: Record) -> bool:
        return self._newest[record.site] - record.written <= LATELY
