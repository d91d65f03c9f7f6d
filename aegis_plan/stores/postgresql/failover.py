"""Which replica of a PostgreSQL store could take the primary's place, and the steps of a failover. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from aegis_plan.observe.snapshot import MemberLook, store_facts
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Fact, Step, new_step
from aegis_plan.stores.contract import Ask, Candidate, Recipe, RecoveryPoint
from aegis_plan.stores.postgresql.facts import (
    Seen,
    estimate,
    fact,
    lag_of,
    left_behind,
    seen,
    sent_along,
    slot_name,
)
from aegis_plan.stores.postgresql.log_steps import stream_step
from aegis_plan.stores.postgresql.model import BackupParams, FenceParams, LogParams, PromoteParams, SlotParams
from aegis_plan.stores.problem import problem


def candidates(ask: Ask) -> tuple[Candidate, ...]:
    """Every member but the primary; those that may be promoted first, the one that lags least before others."""
    primary = ask.look.primary
    found = []
    for name, declared in ask.store.members.items():
        if primary is not None and primary.member == name:
            continue
        look = ask.look.member(name)
        refusal, known = _refusal(ask, name, look)
        lag = lag_of(ask, look) if look is not None and look.state == "replica" else None
        found.append(Candidate(name, declared.site, refusal, known, lag))

    def rank(one: Candidate) -> tuple[bool, bool, float, bool, str]:
        lag = one.lag if one.lag is not None else float("inf")
        return bool(one.refusal), one.seen, lag, one.member != ask.store.preferred, one.member

    return tuple(sorted(found, key=rank))


def _refusal(ask: Ask, name: str, look: MemberLook | None) -> tuple[str, bool]:
    """Why a member is not promoted, and whether that is certain."""
    declared = ask.store.members[name]
    if declared.site in ask.sites_down:
        return f"its site {declared.site} is lost", True
    if not declared.promote:
        return "the documents say 'promote: false'", True
    if look is None or look.state in ("unknown", "unreachable"):
        why = f"it is not seen ({look.reason if look is not None and look.reason else 'no answer'})"
        old = name == _taken_for_primary(ask)
        return (f"{why} and taken for the old primary", True) if old else (why, False)
    if look.state != "replica":
        return f"it is {'stopped' if look.state == 'stopped' else 'a second primary'}", True
    primary = ask.look.primary
    if primary is not None and primary.lineage and look.lineage != primary.lineage:
        return "it is a replica of another history", True
    return "", True


def _taken_for_primary(ask: Ask) -> str | None:
    """The member that was the primary as far as one can tell, where none is seen as one: the preferred one, else the
    first that nobody sees, else one that is stopped. A replica that is seen was none."""
    if ask.look.primary is not None:
        return None
    states = {name: look.state if (look := ask.look.member(name)) else "unknown" for name in ask.store.members}
    able = [name for name, state in states.items() if state != "replica"]
    if ask.store.preferred in able:
        return ask.store.preferred
    return next((name for name in able if states[name] != "stopped"), next(iter(able), None))


def fail_over(ask: Ask, member: str) -> Recipe:
    """Old primaries fenced, the replica promoted and proved, users led to it, and protection brought back."""
    look = ask.look.member(member)
    if look is None:
        return Recipe()
    here = seen(look)
    draft = _Failover(ask, look, here)
    findings: list[PlanFinding] = []
    primaries = [one.member for one in ask.look.members if one.state == "primary"]
    if len(primaries) > 1:
        findings.append(
            problem(
                ask,
                "error",
                "primaries-several",
                "more than one member is primary",
                f"{', '.join(primaries)} of {ask.name} take writes, and their data may differ already",
                "find out which one people write to, and stop the others by hand before anything else",
            )
        )
    way = "where the old primary can still be reached, let the replica catch up first"
    findings.extend(left_behind(ask, look, way))
    for other in ask.look.members:
        # One that is stopped may be started again, by a person or by its host.
        if other.member != member and other.state != "replica":
            draft.fence(other)
    serves = draft.promote()
    draft.protect_again()
    point, lag = None, lag_of(ask, look)
    if lag is not None and look.lineage is not None:
        last = ask.now - timedelta(seconds=lag)
        point = RecoveryPoint(look.lineage, here.look.flush_lsn or "", last, last, "exact", ())
    return Recipe(steps=tuple(draft.steps), findings=tuple(findings), point=point, serves=serves)


class _Failover:
    """The steps of one failover in the making."""

    def __init__(self, ask: Ask, look: MemberLook, here: Seen) -> None:
        self.ask, self.look, self.here = ask, look, here
        self.facts = store_facts(ask.look)
        self.steps: list[Step] = []
        member = f"{ask.name}/{look.member}"
        self.changes = (f"{ask.name}/primary", f"{member}/state", f"{member}/timeline", f"{member}/lag-bytes")

    def add(self, action: str, name: str, title: str, reason: str, needs: Sequence[str], **fields: Any) -> str:
        ask = self.ask
        known: dict[str, Any] = {
            "id": f"{ask.name}.{name}",
            "title": title,
            "reason": reason,
            "site": self.look.site,
            "tier": ask.tier,
            "phase": "data",
            "subject": ask.name,
            "resource": f"{ask.name}/data",
            "lease": f"{ask.name}/data",
            "declared": sent_along(ask),
            "needs": tuple(needs),
            "estimate": estimate(ask, action),
        }
        self.steps.append(new_step(action, **{**known, **fields}))
        return self.steps[-1].id

    def fence(self, old: MemberLook) -> None:
        """Two primaries are worse than none: an old one is stopped where it can be reached, else a person says that it
        is down and stays so."""
        ask = self.ask
        reached = old.site not in ask.sites_down and old.state != "unknown"
        params = FenceParams(store=ask.name, member=old.member, reachable=reached)
        if reached:
            title = f"stop {old.member} of {ask.name} and keep it from starting"
        else:
            title = f"prove that {old.member} of {ask.name} is down and stays down"
        self.add(
            "fence",
            f"fence-{old.member}",
            title,
            f"it is {old.state}, and must not take writes beside the new primary",
            (),
            site=old.site if reached else self.look.site,
            params=params.model_dump(mode="json"),
            facts=(fact(self.facts, f"{ask.name}/{old.member}/state"),),
            changes=(f"{ask.name}/primary", f"{ask.name}/{old.member}/state"),
            destructive=reached,
            approve="" if reached else f"is it certain that {old.member} is down and cannot come back as a primary?",
        )

    def promote(self) -> str:
        """The step after which the store serves."""
        ask, name = self.ask, self.look.member
        params = PromoteParams(
            store=ask.name, member=name, lineage=self.look.lineage, timeline=self.here.look.timeline
        ).model_dump(mode="json")
        rests: list[Fact] = [fact(self.facts, f"{ask.name}/{name}/{what}") for what in ("state", "lineage", "timeline")]
        promoted = self.add(
            "promote",
            "promote",
            f"make {name} the primary of {ask.name}",
            "a new timeline begins, the old primary does not follow it",
            [step.id for step in self.steps],
            params=params,
            facts=tuple(rests),
            changes=self.changes,
        )
        proved = self.add(
            "prove-primary",
            "prove-primary",
            f"prove that {name} takes writes, and find its last commit",
            "services start only on a primary that is proved",
            [promoted],
            params=params,
        )
        return self.add(
            "repoint",
            "repoint",
            f"lead users and replicas of {ask.name} to {name}",
            "connections to the old primary would fail",
            [proved],
            params=params,
        )

    def protect_again(self) -> None:
        """Slot, log and a full: until these are done the store is not protected."""
        ask, name, backup = self.ask, self.look.member, self.ask.store.backup
        if backup is None:
            return
        after = f"{ask.name}.prove-primary"
        if backup.log is not None:
            slot = slot_name(ask.name, backup)
            log = {"resource": f"{ask.name}/log", "lease": f"{ask.name}/log", "on_error": "continue"}
            after = self.add(
                "create-slot",
                "create-slot",
                f"reserve the log of {ask.name} on {name}",
                "a promoted server has no slots",
                [after],
                params=SlotParams(
                    store=ask.name, member=name, slot=slot, accept_unlimited=backup.log.accept_unlimited_slot
                ).model_dump(mode="json"),
                **log,
            )
            logged = self.add(
                "archive-log",
                "archive-log",
                f"archive the log of {ask.name} over the change of timelines",
                "proves that the log goes on without a hole",
                [after],
                phase="verify",
                params=LogParams(store=ask.name, member=name, lineage=self.look.lineage or "", slot=slot).model_dump(
                    mode="json"
                ),
                **log,
            )
            if backup.log.stream and self.look.lineage is not None:
                self.steps.append(
                    stream_step(
                        ask,
                        self.look.site,
                        name,
                        self.look.lineage,
                        phase="verify",
                        needs=(logged,),
                        reason="the log is streamed again",
                        on_error="continue",
                    )
                )
        self.add(
            "backup",
            "backup",
            f"take a full backup of {ask.name} from {name}",
            "the store is unprotected until a set of the new timeline exists",
            [after],
            phase="verify",
            params=BackupParams(store=ask.name, member=name, lineage=self.look.lineage or "", method="full").model_dump(
                mode="json"
            ),
            changes=(f"{ask.name}/newest-set",),
            on_error="continue",
        )
