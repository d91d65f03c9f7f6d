"""A posture in the making: the recipe as it grows, and the server that it reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aegis_plan.documents.model import Backup
from aegis_plan.observe.snapshot import Facts
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Fact, Step
from aegis_plan.stores.contract import Ask, Recipe
from aegis_plan.stores.postgresql.chains import LineageArchive
from aegis_plan.stores.postgresql.continuity import behind
from aegis_plan.stores.postgresql.facts import (
    Seen,
    behind_archive,
    fact,
    left_behind,
    seen,
)
from aegis_plan.stores.postgresql.positions import parse_lsn
from aegis_plan.stores.problem import problem


@dataclass
class Draft:
    """A recipe in the making."""

    ask: Ask
    backup: Backup
    lineages: Mapping[str, LineageArchive]
    facts: Facts
    streamed: Mapping[str, object] | None
    """What the site's daemon says of this store's stream; None when it streams nothing."""
    steps: list[Step] = field(default_factory=list)
    findings: list[PlanFinding] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)

    def find(self, severity: str, code: str, summary: str, detail: str = "", hint: str = "") -> None:
        self.findings.append(problem(self.ask, severity, code, summary, detail, hint))

    def recipe(self) -> Recipe:
        return Recipe(steps=tuple(self.steps), findings=tuple(self.findings), choices=tuple(self.choices))


def server_to_read(draft: Draft) -> Seen | None:
    """The member that is read: the declared one, else the one primary."""
    ask, name = draft.ask, draft.backup.from_member
    primaries = [member for member in ask.look.members if member.state == "primary"]
    if name is not None:
        member = ask.look.member(name)
        if member is not None and member.state in ("primary", "replica"):
            return seen(member)
        state = f"{name} is {member.state}: {member.reason}" if member is not None else f"{name} was not looked at"
        draft.find("error", "member-unreachable", "the server to back up cannot be reached", state, look_hint())
        return None
    if len(primaries) == 1:
        return seen(primaries[0])
    saw = "; ".join(
        f"{member.member} is {member.state}" + (f" ({member.reason})" if member.reason else "")
        for member in ask.look.members
    )
    if len(primaries) > 1:
        draft.find(
            "error",
            "two-primaries",
            "more than one member is primary",
            saw,
            "find out which one takes writes and stop the other; nothing is backed up until then",
        )
    elif any(member.state in ("unreachable", "unknown") for member in ask.look.members):
        draft.find("error", "member-unreachable", "the server to back up cannot be reached", saw, look_hint())
    else:
        draft.find(
            "error",
            "no-primary",
            "no member is primary",
            saw or "no member was looked at",
            "start the server, or plan a recovery with 'aegis plan --scenario NAME'",
        )
    return None


def look_hint() -> str:
    return (
        "check its connection and whether it runs; where it is lost, plan a recovery with 'aegis plan --scenario NAME'"
    )


def fit_to_back_up(draft: Draft, server: Seen) -> bool:
    """Whether the server can be backed up over the replication protocol at all."""
    look, member = server.look, server.member.member
    ok = True
    if look.can_replicate is False:
        draft.find(
            "error",
            "no-replication-right",
            "the server does not let us replicate",
            f"{member}: {look.replication_reason or 'no reason given'}",
            "ALTER ROLE ... REPLICATION, and a line 'host replication ...' in pg_hba.conf",
        )
        ok = False
    if look.wal_level == "minimal":
        draft.find(
            "error",
            "wal-level-minimal",
            "the server writes too little log for backups",
            f"{member}: wal_level is minimal",
            "ALTER SYSTEM SET wal_level = replica; and restart the server",
        )
        ok = False
    if server.lineage is None:
        draft.find(
            "error",
            "member-unreachable",
            "the server to back up cannot be reached",
            f"{member}: its system identifier could not be read",
            look_hint(),
        )
        ok = False
    if server.member.state == "replica":
        way = "what the primary acknowledged since is in no backup; let it catch up, or read another member"
        draft.findings.extend(left_behind(draft.ask, server.member, way))
    end = behind_archive(draft.lineages.get(server.lineage or ""), server, draft.ask.now)
    if end is not None and look.flush_lsn is not None:
        found = behind(member, parse_lsn(look.flush_lsn), end)
        draft.find("error", found.code, found.summary, found.detail, found.hint)
        ok = False
    return ok


def facts_of(draft: Draft, *names: str) -> tuple[Fact, ...]:
    """Facts of the store by their short names. The lineage is the primary's, also where a replica is read."""
    return tuple(fact(draft.facts, f"{draft.ask.name}/{name}") for name in names)
