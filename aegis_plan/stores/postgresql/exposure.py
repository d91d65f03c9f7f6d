"""How much would be lost if a PostgreSQL store failed now."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_plan.catalog.due import ahead
from aegis_plan.stores.contract import Ask, Exposure
from aegis_plan.stores.postgresql.chains import LineageArchive, archive
from aegis_plan.stores.postgresql.facts import archive_end, behind_archive, covered_until, seen

_AHEAD = "what is archived is dated later than now: a clock was ahead, and nobody can tell how old it is"


def exposure(ask: Ask, lineages: Mapping[str, LineageArchive] | None = None) -> Exposure:
    """0 when all that the primary has flushed is archived, else the time since the end of what can be brought back;
    unknown where nothing can."""
    known = archive(ask.look.shelf) if lineages is None else lineages
    primary = ask.look.primary
    if primary is not None and primary.lineage is not None:
        one = known.get(primary.lineage)
        chain = one.newest if one is not None else None
        if one is None or chain is None:
            return Exposure(None, _none(ask, "no backup of what runs now"))
        server = seen(primary)
        if behind_archive(one, server, ask.now) is not None:
            return Exposure(None, "the server was put back to an earlier state, and nothing of it since is archived")
        end = archive_end(one, chain, server.look.timeline)
        reached = server.flush is not None and end is not None and end.lsn >= server.flush
        if reached and end is not None and end.timeline == server.look.timeline:
            return Exposure(0.0, "all that the server has written is archived")
        covered = covered_until(one, chain, server.look.timeline)
        if ahead(covered, ask.now):
            return Exposure(None, _AHEAD)
        return Exposure((ask.now - covered).total_seconds(), "since the end of what is archived")
    ends = [found.end for one in known.values() for found in one.reaches]
    if not ends:
        return Exposure(None, _none(ask, "no backup"))
    if ahead(max(ends), ask.now):
        return Exposure(None, _AHEAD)
    return Exposure((ask.now - max(ends)).total_seconds(), "since the end of what is archived; the primary is not seen")


def _none(ask: Ask, what: str) -> str:
    """What is not seen is not there only where every repository was read."""
    if ask.look.shelf.unseen:
        return f"{what} is seen, and not every repository could be reached"
    return f"{what}: everything would be lost"
