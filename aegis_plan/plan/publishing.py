"""The step that publishes the documents, and what a plan says of how far the files are ahead of what is published.
Pure."""

from __future__ import annotations

from typing import Any

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import PUBLICATION, PublishedLook, Snapshot
from aegis_plan.plan.assembly import assembled
from aegis_plan.plan.plan import Intent, Plan, PlanFinding
from aegis_plan.plan.step import Fact, Step, new_step

NAME = "documents"


def ahead(snapshot: Snapshot) -> str:
    """How the files differ from what is published, in a few words; empty when they do not, or nobody can say."""
    published, working = snapshot.published, snapshot.working
    if published is None or working is None:
        return ""
    if published.number == 0 and published.last:
        return "nobody whom the documents list has published them"
    if published.number == 0:
        return "the documents were never published" if not published.unseen else ""
    if published.revision != working.revision:
        when = f"{published.written:%Y-%m-%d %H:%M} UTC"
        return f"documents changed since the published revision {published.number} of {when}"
    return ""


def publishing(documents: Documents, snapshot: Snapshot, intent: Intent) -> tuple[list[Step], list[PlanFinding]]:
    """The step that brings what is published to what the files say, where it is needed, and findings.

    A plan of protection keeps up what was published once; the first time somebody has to ask for it."""
    published, working = snapshot.published, snapshot.working
    if published is None:
        return [], []
    findings = [*_suspicions(published)]
    asked = intent.kind == "publish"
    if working is None or not (asked or published.number) or (not asked and intent.stores):
        return [], findings
    reason = ahead(snapshot)
    if not reason and published.behind:
        reason = f"not yet in {', '.join(published.behind)}"
    wheels = str(intent.options.get("wheels") or "keep")
    if not reason and wheels not in ("keep", "none") and not _has_tool(published, intent):
        reason = "no copy of the tool of this version lies beside them"
    if not reason:
        return [], findings
    site = signing_site(documents, snapshot)
    if not site:
        findings.append(
            PlanFinding(
                severity="error" if asked else "warning",
                code="publisher-missing",
                summary="no site that can be reached signs",
                detail="documents are published by a site that `sealing.signers` lists and that answers",
                hint="'aegis keys new SITE' makes keys; see 'aegis help bare-machine'",
            )
        )
        return [], findings
    copying = published.number > 0 and published.revision == working.revision and wheels in ("keep", "none")
    number = published.number if copying else published.last + 1
    params: dict[str, Any] = {
        "number": number,
        "revision": working.revision,
        "previous": published.digest,
        "copy": copying,
    }
    if not copying:
        params |= {
            "archive": working.archive,
            "variables": working.variables,
            "durations": [one.model_dump(mode="json") for one in snapshot.durations],
            "protection": protection(documents),
            "wheels": wheels,
        }
    step = new_step(
        "publish",
        id="documents.publish",
        title=f"publish revision {number} of the documents to all repositories"
        if not copying
        else f"bring revision {number} of the documents to {', '.join(published.behind)}",
        reason=reason,
        site=site,
        tier=0,
        phase="protect",
        subject=NAME,
        resource="_system/publish",
        params=params,
        declared=(
            "repositories/*", "sites/*", "services/*", "stores/*", "scenarios/*", "tiers/*", "state",
        ),
        facts=(Fact(name=PUBLICATION, value=published.digest),),
        changes=(PUBLICATION,),
    )  # fmt: skip
    return [step], findings


def plan_publish(documents: Documents, snapshot: Snapshot, digest: str, tool: str, intent: Intent) -> Plan:
    """The plan of `aegis publish`."""
    steps, findings = publishing(documents, snapshot, intent)
    return assembled(documents, snapshot, digest, tool, intent, steps, findings)


def protection(documents: Documents) -> dict[str, Any]:
    """What whoever reads a bucket may know, and a host without a key has to: what is backed up when and how long it is
    kept. No connection, no address, nobody's name."""
    stores = {
        name: {
            "engine": store.engine,
            "backup": store.backup.model_dump(mode="json", exclude_none=True) if store.backup else None,
        }
        for name, store in documents.stores.items()
    }
    sealed = documents.sealing
    readers = [*sealed.recipients, sealed.recovery_recipient, *sealed.host_recipients.values()] if sealed else []
    return {
        "sealed_to": list(dict.fromkeys(readers)),
        "sites": {name: {"role": site.role} for name, site in documents.sites.items()},
        "stores": stores,
        "timezone": documents.system.timezone,
    }


def _has_tool(published: PublishedLook, intent: Intent) -> bool:
    return bool(published.wheels) and published.tool == intent.options.get("tool", published.tool)


def signing_site(documents: Documents, snapshot: Snapshot) -> str:
    """A site that signs and answers, primary ones first."""
    signs = documents.sealing.signers if documents.sealing is not None else {}
    fit = [
        name
        for name in documents.sites
        if name in signs and (look := snapshot.sites.get(name)) is not None and look.reachable
    ]
    fit.sort(key=lambda name: documents.sites[name].role != "primary")
    return next(iter(fit), "")


def _suspicions(published: PublishedLook) -> list[PlanFinding]:
    """What looks like somebody else's hand in the publications."""
    found = []
    for damage in published.damage:
        if damage.kind == "missing-object":
            continue  # brought back by the step
        found.append(
            PlanFinding(
                severity="warning",
                code="publication-doubtful",
                summary="a publication of the documents is not as it was written",
                detail=f"{damage.repository or 'all repositories'}: {damage.detail}",
                hint="find out who can write to that repository; what is not believed is never used",
                subject=NAME,
            )
        )
    return found
