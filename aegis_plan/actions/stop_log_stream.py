"""The step `stop-log-stream`: takes back the declaration of a stream and waits until the daemon let go."""

from __future__ import annotations

from aegis_plan.actions import standing
from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.actions.start_log_stream import WAIT_SECONDS, put_back
from aegis_plan.errors import AegisError


class StopLogStream:
    """Params: those of the engine's stream, with `store`."""

    kind = "stop-log-stream"

    def probe(self, context: Context) -> Probed:
        store = str(context.attempt.params["store"])
        gone = store not in standing.streams(context.folder) and not _streams(context, store)
        return Probed("satisfied" if gone else "needed")

    def act(self, context: Context) -> Done:
        store = str(context.attempt.params["store"])
        with standing.changing(context.folder) as streams:
            if not any(mark.name == "before" for mark in context.marks):
                context.mark("before", stream=streams.get(store))
            streams.pop(store, None)
        limit = context.clock.monotonic() + WAIT_SECONDS
        while _streams(context, store):
            context.check()
            if context.clock.monotonic() >= limit:
                raise AegisError(
                    "stream-still-runs",
                    "the daemon has not ended the log stream",
                    f"{store} at {context.attempt.site}, {WAIT_SECONDS:g} s after it was told",
                    "see the daemon's own output; ending the daemon ends the stream",
                )
            context.clock.sleep(0.2)
        return Done()

    def undo(self, context: Context) -> Done:
        return put_back(context)


def _streams(context: Context, store: str) -> bool:
    said = standing.daemon(context.folder)
    return said is not None and store in said.get("streams", {})
