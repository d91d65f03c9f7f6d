"""Wraps the data keys of one store's lineage to today's recipients, so that a key that was removed opens nothing any
more. It needs a key that opens the old form, unless another repository has a new one already; it touches no data.
"""

from __future__ import annotations

from collections.abc import Mapping

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys as layout
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.rewrapping import Rewrapping, done_already, forms_in
from aegis_plan.stores.archive import signing

_SHOWN = 5


class Rewrap:
    """Parameters: store, lineage, identity (a secret reference, or empty)."""

    kind = "rewrap"

    def probe(self, context: Context) -> Probed:
        sealing, _ = signing(context)
        left = done_already(_repositories(context), _root(context), sealing)
        return Probed("needed", left) if left else Probed("satisfied", outputs={"keys": 0})

    def act(self, context: Context) -> Done:
        sealing, private = signing(context)
        ready, root = _answering(context), _root(context)
        identities = [*context.keys.identities, *context.more_identities(str(context.attempt.params["identity"]))]
        work = Rewrapping(ready, sealing, context.attempt.site, private, identities, context.check)
        work.run(root, lambda done, total: context.progress("rewrap", done, total, "keys"))
        _tell_left(context, work.left)
        if work.failed:
            raise _kept(str(context.attempt.params["store"]), work.failed)
        return Done({"keys": work.made, "removed": work.removed})

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "data keys are not wrapped back to a key that was removed",
            str(context.attempt.params["store"]),
            "name its recipient in the documents again and run 'aegis keys rewrap'",
        )


def _kept(store: str, failed: Mapping[str, AegisError]) -> AegisError:
    first = next(iter(failed.values()))
    return AegisError(
        "keys-not-rewrapped",
        "some data keys keep their old form",
        f"{len(failed)} of {store} ({', '.join(list(failed)[:_SHOWN])}): {first.summary}: {first.detail}",
        first.hint or "mend what it names, then run 'aegis keys rewrap'",
    )


def _root(context: Context) -> str:
    params = context.attempt.params
    return layout.lineage_root(context.declared.system.name, params["store"], params["lineage"])


def _repositories(context: Context) -> dict[str, Repository]:
    backup = context.declared.stores[context.attempt.params["store"]].backup
    return {name: context.repositories[name] for name in (backup.repositories if backup else ())}


def _answering(context: Context) -> Mapping[str, Repository]:
    """The store's repositories that can be listed now, with a finding for each other: what lies there keeps its old
    form until a later plan."""
    backup = context.declared.stores[context.attempt.params["store"]].backup
    found: dict[str, Repository] = {}
    for name in backup.repositories if backup else ():
        context.check()
        try:
            forms_in(context.repositories[name], _root(context))
            found[name] = context.repositories[name]
        except AegisError as error:
            context.find(
                "warning",
                "keys-not-reached",
                "a repository keeps its old data keys, because it cannot be reached",
                f"{name}: {error}; a key that was removed opens what lies there",
                "bring it back; the next plan wraps them anew",
            )
    if not found:
        raise AegisError(
            "keys-not-reached",
            "a repository keeps its old data keys, because it cannot be reached",
            f"no repository of {context.attempt.params['store']} answers",
            "bring one back and run 'aegis keys rewrap'",
        )
    return found


def _tell_left(context: Context, left: Mapping[str, list[AegisError]]) -> None:
    for name, kept in left.items():
        context.find(
            "warning",
            "keys-still-readable",
            "old forms of data keys stay, because they cannot be removed",
            f"{name}: {len(kept)} forms, such as {kept[-1].detail}; whoever has a removed key opens with them what was "
            "sealed until now",
            "once a lock ends, or with an identity that may remove them, 'aegis keys rewrap' does; what is sealed from "
            "now on is not concerned",
        )


ACTION = Rewrap()
