"""What a recovery leaves out at a site that cannot sign: a machine that stands in has no signing key, and its backups
would be nobody's. It says that the store is unprotected until there is one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_plan.actions.spec import ACTIONS
from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Step

UNPROTECTED = "recovery-unprotected"


def signs(documents: Documents, snapshot: Snapshot, site: str) -> bool:
    """Whether a site can sign, as far as it said: one that told of no keys at all is taken at the documents' word."""
    look = snapshot.sites.get(site)
    if documents.sealing is None or look is None or not look.reachable or not look.recipients:
        return True
    return bool(look.signer) and documents.sealing.signers.get(site) == look.signer


def without_signature(
    documents: Documents, snapshot: Snapshot, store: str, steps: Sequence[Step]
) -> tuple[tuple[Step, ...], PlanFinding | None]:
    """The steps of a store's recovery without those that protect it at a site that cannot sign, and a finding where
    there were such. The log that an old server left is taken in any case, or the recovery ends there: it is data."""
    gone = {
        step.id: step for step in steps if ACTIONS[step.action].protects and not signs(documents, snapshot, step.site)
    }
    if not gone:
        return tuple(steps), None
    kept = tuple(
        step.model_copy(update={"needs": tuple(need for need in step.needs if need not in gone)})
        for step in steps
        if step.id not in gone
    )
    site = next(iter(gone.values())).site
    look = snapshot.sites[site]
    why = "has a signing key that the documents do not list" if look.signer else "has no signing key"
    return kept, PlanFinding(
        severity="warning",
        code=UNPROTECTED,
        summary="the store is not protected after this recovery: no backup can be signed here",
        detail=f"{store}: site {site} {why}, so that the plan leaves out {', '.join(gone)}. Nobody backs {store} up "
        "until there is one",
        hint=f"once it serves: 'aegis keys new {site} --signing', 'aegis publish', then 'aegis apply', which takes a "
        "full; with --from, do it in the working folder, without --from",
        subject=store,
    )
