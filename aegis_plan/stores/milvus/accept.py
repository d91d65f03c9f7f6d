"""The step `accept` of Milvus: what was restored is there under its own names; from here on it is the store's.

It settles what becomes of the old collections, and removes what was staged.
"""

from __future__ import annotations

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError
from aegis_plan.stores.milvus.collection import TTL, describe
from aegis_plan.stores.milvus.connection import connect
from aegis_plan.stores.milvus.lineage import lineage_of
from aegis_plan.stores.milvus.load import drop
from aegis_plan.stores.milvus.model import LoadParams
from aegis_plan.stores.milvus.staged import find, folder_of, old_name, remove, require


class Accept:
    """Accept the restored collections."""

    kind = "accept"

    def probe(self, context: Context) -> Probed:
        done = next((mark for mark in context.marks if mark.name == "accepted"), None)
        if done is not None and find(folder_of(context, context.attempt.params["store"])) is None:
            return Probed("satisfied", outputs=dict(done.data))
        return Probed("needed")

    def act(self, context: Context) -> Done:
        params = LoadParams.model_validate(context.attempt.params)
        found = self.probe(context)
        if found.answer == "satisfied":
            return Done(found.outputs)
        held, kept_old = require(context, params.store), 0
        with connect(context, params.store, params.member) as server:
            for kept in held.kept:
                if describe(server, kept.collection.name) is None:
                    raise AegisError(
                        "milvus-not-in-place",
                        "a restored collection is not under its name",
                        f"{server.where}: collection {kept.number} of the set",
                        "look at the names of the collections, then `aegis resume`",
                    )
            aged = sum(1 for kept in held.kept if TTL in kept.collection.properties and kept.rows)
            if aged:
                context.find(
                    "note",
                    "milvus-ttl-anew",
                    "rows that end by themselves begin their time anew",
                    f"{server.where}: {aged} collections have a time to live",
                    "delete earlier what has to end earlier",
                )
            outputs = {
                "collections": len(held.kept),
                "covers_until": held.data["covers_until"],
                "lineage": lineage_of(context, params.store, params.member, server),
            }
            context.mark("accepted", **outputs)
            for kept in held.kept:
                aside = old_name(kept.collection.name, context.attempt.run)
                if params.keep_old == "no":
                    drop(server, aside)
                else:
                    kept_old += describe(server, aside) is not None
        if kept_old:
            context.find(
                "note",
                "milvus-old-kept",
                "the old collections are kept beside the restored ones",
                f"{server.where}: {kept_old}, under their names with "
                f"{old_name('', context.attempt.run)} at the end, not loaded",
                "drop them when nothing in them is needed any more",
            )
        remove(folder_of(context, params.store))
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "this step cannot be taken back",
            "the restored data was accepted and may have been written to",
            "recover to an earlier point with a new plan",
        )


ACTION = Accept()
