"""The steps `stop-server` and `start-server`: the member's own server goes down or comes up, and back on undo."""

from __future__ import annotations

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.stores.postgresql import command_line, control
from aegis_plan.stores.postgresql.model import Server, ServerParams


def _server(context: Context) -> Server:
    params = ServerParams.model_validate(context.attempt.params)
    return control.declared_server(context, params.store, params.member)


class StopServer:
    """Stops the server. Nothing to do when it is stopped."""

    kind = "stop-server"

    def probe(self, context: Context) -> Probed:
        state = control.status(_server(context))
        if state == "stopped":
            return Probed("satisfied", outputs={"was_running": any(mark.name == "running" for mark in context.marks)})
        return Probed("needed" if state == "running" else "unknown", f"the server is {state}")

    def act(self, context: Context) -> Done:
        server = _server(context)
        was = control.certain(server)
        if was:
            # Put back it has to listen where it did, also where the documents do not say so.
            context.mark("running", given=command_line.written(server.data_directory))
            control.stop(server, context)
        return Done({"was_running": was or any(mark.name == "running" for mark in context.marks)})

    def undo(self, context: Context) -> Done:
        server = _server(context)
        was = any(mark.name == "running" for mark in context.marks) or context.attempt.earlier.outputs.get(
            "was_running"
        )
        if was and not control.certain(server):
            given = next((mark.data.get("given") for mark in context.marks if mark.name == "running"), None)
            control.start(command_line.with_given(server, given or {}), context)
        return Done()


class StartServer:
    """Starts the server and waits until it accepts connections."""

    kind = "start-server"

    def probe(self, context: Context) -> Probed:
        server = _server(context)
        state = control.status(server)
        if state == "running":
            note = control.postmaster(server.data_directory)
            if note is not None and note.ready:
                return Probed("satisfied")
            return Probed("unknown", "the server runs and does not accept connections yet")
        return Probed("needed" if state == "stopped" else "unknown", f"the server is {state}")

    def act(self, context: Context) -> Done:
        server = _server(context)
        if control.certain(server):
            control.wait_ready(server, context, control.START_SECONDS, control.log_file(server), 0)
        else:
            context.mark("starting")
            control.start(server, context)
        return Done()

    def undo(self, context: Context) -> Done:
        control.stop(_server(context), context)
        return Done()


STOP = StopServer()
START = StartServer()
ACTIONS = {StopServer.kind: STOP, StartServer.kind: START}
