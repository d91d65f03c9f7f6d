"""Puts the present values of secret references into the repositories, sealed to the recovery recipient alone. No value
is in a mark, an output or an error.
"""

from __future__ import annotations

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.clock import new_id
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys
from aegis_plan.sealing import escrow
from aegis_plan.stores.archive import signing


class PutEscrow:
    """Parameters: references, scenario."""

    kind = "escrow"

    def probe(self, context: Context) -> Probed:
        return Probed("needed")

    def act(self, context: Context) -> Done:
        sealing, private = signing(context)
        values, unresolved = {}, []
        for reference in map(str, context.attempt.params["references"]):
            try:
                values[reference] = context.secrets.text(reference)
            except AegisError as error:
                unresolved.append(reference)
                context.find(
                    "warning",
                    "escrow-incomplete",
                    "a secret is not in the escrow, because it does not resolve here",
                    error.detail,
                    "set it at this site and run 'aegis keys escrow' again, or keep that one by other means",
                )
        if not values:
            raise AegisError(
                "escrow-empty",
                "there is nothing to put away",
                f"none of {len(unresolved)} references resolves at {context.attempt.site}",
                "set them where the site's programs run",
            )
        system, site = context.declared.system.name, context.attempt.site
        now = context.clock.now()
        identity = new_id(now)
        scenario = str(context.attempt.params["scenario"])
        data = escrow.make(identity, system, site, scenario, now, sealing.recovery_recipient, values, private)
        held, problems = [], []
        for name in context.declared.repositories:
            context.check()
            try:
                repository = context.repositories[name]
                repository.put(keys.escrow(system, identity), data)
                held.append(name)
                # Earlier ones hold earlier values, perhaps for a recovery key that was replaced.
                for listed in list(repository.listing(keys.escrow_root(system))):
                    if listed.key != keys.escrow(system, identity):
                        repository.delete(listed.key)
            except AegisError as error:
                problems.append(f"{name}: {error}")
                context.find(
                    "warning", "copy-missing", "a repository did not take a copy", f"{name}: {error}",
                    "run 'aegis keys escrow' again when it is back",
                )  # fmt: skip
        if not held:
            raise AegisError(
                "escrow-nowhere", "no repository took the escrow", "; ".join(problems), "mend one and run it again"
            )
        return Done({"escrow": identity, "secrets": len(values), "unresolved": unresolved, "copies": held})

    def undo(self, context: Context) -> Done:
        return Done()


ACTION = PutEscrow()
