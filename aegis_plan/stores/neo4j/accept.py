"""The step `accept`: the server that people reach holds what was proved; from here on its data is the store's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError
from aegis_plan.stores.neo4j import control, place
from aegis_plan.stores.neo4j.connection import SYSTEM, LoginRefusedError, ask, declared_server, opened
from aegis_plan.stores.neo4j.look import lineage_of
from aegis_plan.stores.neo4j.model import AcceptParams, Server


class Accept:
    """Accept the restored data."""

    kind = "accept"

    def probe(self, context: Context) -> Probed:
        for mark in context.marks:
            if mark.name == "accepted":
                return Probed("satisfied", outputs=dict(mark.data))
        return Probed("needed")

    def act(self, context: Context) -> Done:
        params = AcceptParams.model_validate(context.attempt.params)
        found = self.probe(context)
        server = declared_server(context, params.store, params.member)
        where = place.layout(server)
        outputs = found.outputs if found.answer == "satisfied" else self._ask(context, params, server)
        if found.answer != "satisfied":
            context.mark("accepted", **outputs)
        self._old(context, params, where)
        place.remove(where, context)
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "this step cannot be taken back",
            "the restored data was accepted and may have been written to",
            "recover to an earlier point with a new plan",
        )

    def _ask(self, context: Context, params: AcceptParams, server: Server) -> dict[str, Any]:
        proved, where = dict(context.attempt.outputs[params.load]), f"{params.store}/{params.member}"
        databases = [name for name in proved["databases"] if name != SYSTEM]
        try:
            with opened(context, params.store, params.member) as driver:
                lineage = lineage_of(driver, databases[0], where)
                nodes = relationships = 0
                for name in databases:
                    nodes += ask(driver, name, "MATCH (n) RETURN count(n)", where)[0][0]
                    relationships += ask(driver, name, "MATCH ()-[r]->() RETURN count(r)", where)[0][0]
        except LoginRefusedError as error:
            if proved["kind"] == "export" or SYSTEM not in proved["databases"] or not control.certain(server):
                raise
            context.find(
                "warning",
                "restored-login-refused",
                "the restored server refuses the login of the member's connection",
                f"{error.detail}; users and passwords are those of the backup, and it runs on the restored data",
                "give the site the password of the restored data; until then nothing is backed up",
            )
            return {name: proved[name] for name in ("lineage", "nodes", "relationships", "covers_until")}
        if lineage != proved["lineage"]:
            raise AegisError(
                "restored-server-differs",
                "the server that answers is not the one that was restored",
                f"{where}: it is {lineage}, proved was {proved['lineage']}",
                "check that the member's connection leads to this server",
            )
        if (nodes, relationships) != (proved["nodes"], proved["relationships"]):
            # Whoever writes from the first moment on is no reason to take the data away from them again.
            context.find(
                "note",
                "neo4j-written-already",
                "the restored server was written to before it was accepted",
                f"{where}: {nodes} nodes and {relationships} relationships, proved were {proved['nodes']} and "
                f"{proved['relationships']}",
            )
        return {
            "lineage": lineage,
            "nodes": nodes,
            "relationships": relationships,
            "covers_until": proved["covers_until"],
        }

    def _old(self, context: Context, params: AcceptParams, where: place.Layout) -> None:
        """Old databases stay beside, go to another disk, or go away, as the documents say."""
        keep, run = context.declared.stores[params.store].keep_old_data, context.attempt.run
        for old in dict.fromkeys((where.old(run), where.old_transactions(run))):
            if keep == "beside" or not old.is_dir():
                continue
            if keep != "no":
                context.progress("copy the old data aside", unit="")
                goal = Path(keep) / f"{params.store}{old.name}"
                shutil.copytree(old, goal, dirs_exist_ok=True)
                context.mark("old-copied", path=str(goal))
            shutil.rmtree(old)
            place.sync_folder(old.parent)


ACTION = Accept()
