"""The steps `stop-server` and `start-server`: the member's own server goes down or comes up, and back on undo."""

from __future__ import annotations

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.stores.neo4j import control
from aegis_plan.stores.neo4j.connection import LoginRefusedError, ask, declared_server, names, opened
from aegis_plan.stores.neo4j.model import Params, Server


def _server(context: Context) -> Server:
    params = Params.model_validate(context.attempt.params)
    return declared_server(context, params.store, params.member)


class StopServer:
    """Stops the server. Nothing to do when it is stopped."""

    kind = "stop-server"

    def probe(self, context: Context) -> Probed:
        state = control.status(_server(context))
        if state == "stopped":
            return Probed("satisfied", outputs={"was_running": self._was(context)})
        return Probed("needed" if state == "running" else "unknown", f"the server is {state}")

    def act(self, context: Context) -> Done:
        server = _server(context)
        if control.certain(server):
            context.mark("running")
            control.stop(server, context)
        return Done({"was_running": self._was(context)})

    def undo(self, context: Context) -> Done:
        server = _server(context)
        if (self._was(context) or context.attempt.earlier.outputs.get("was_running")) and not control.certain(server):
            control.start(server, context)
        return Done()

    def _was(self, context: Context) -> bool:
        return any(mark.name == "running" for mark in context.marks)


def answers(context: Context, store: str, member: str) -> bool:
    """Whether it takes our login, or refuses it, which is an answer too."""
    server = declared_server(context, store, member)
    try:
        with opened(context, store, member, 5.0) as driver:
            ask(driver, names(server)[0], "RETURN 1", f"{store}/{member}")
    except LoginRefusedError:
        return True
    except UnavailableError:
        return False
    except AegisError as error:
        # A server that is still coming up has no databases yet; what is wrong at the site does not go by waiting.
        if error.code in ("server-refused", "database-missing"):
            return False
        raise
    return True


class StartServer:
    """Starts the server and waits until it answers."""

    kind = "start-server"

    def probe(self, context: Context) -> Probed:
        params = Params.model_validate(context.attempt.params)
        state = control.status(_server(context))
        if state == "running":
            if answers(context, params.store, params.member):
                return Probed("satisfied")
            return Probed("unknown", "the server runs and does not answer yet")
        return Probed("needed" if state == "stopped" else "unknown", f"the server is {state}")

    def act(self, context: Context) -> Done:
        params = Params.model_validate(context.attempt.params)
        server = _server(context)
        if not control.certain(server):
            control.start(server, context)
        until = context.clock.monotonic() + control.limit(server)
        while not answers(context, params.store, params.member):
            context.check()
            if context.clock.monotonic() > until or not control.certain(server):
                raise AegisError(
                    "server-start-failed",
                    "the server did not start",
                    f"{server.home}: it does not answer by the member's connection",
                    f"look into {server.home}/logs/neo4j.log, then try again",
                )
            context.progress("wait until the server answers", unit="")
            context.clock.sleep(0.2)
        return Done()

    def undo(self, context: Context) -> Done:
        control.stop(_server(context), context)
        return Done()


STOP = StopServer()
START = StartServer()
