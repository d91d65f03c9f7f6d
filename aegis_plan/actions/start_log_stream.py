"""The step `start-log-stream`: declares at the site that its daemon keeps a store's log flowing. It streams nothing."""

from __future__ import annotations

from typing import Any

from aegis_plan.actions import standing
from aegis_plan.actions.contract import Context, Done, Probed

WAIT_SECONDS = 20.0


def wanted(context: Context) -> dict[str, Any]:
    """What `declared.json` says of the stream of this step."""
    attempt = context.attempt
    return {"params": dict(attempt.params), "declared": dict(attempt.declared), "run": attempt.run}


def put_back(context: Context) -> Done:
    """Makes the declaration what it was before the step's first mark; nothing when it never got there."""
    store = str(context.attempt.params["store"])
    first = next((mark for mark in context.marks if mark.name == "before"), None)
    if first is not None:
        with standing.changing(context.folder) as streams:
            if first.data.get("stream") is None:
                streams.pop(store, None)
            else:
                streams[store] = first.data["stream"]
    return Done()


class StartLogStream:
    """Params: those of the engine's stream, with `store`."""

    kind = "start-log-stream"

    def probe(self, context: Context) -> Probed:
        store = str(context.attempt.params["store"])
        found = standing.streams(context.folder).get(store)
        same = found is not None and all(found.get(part) == wanted(context)[part] for part in ("params", "declared"))
        return Probed("satisfied" if same else "needed", outputs={"state": state(context, store)} if same else {})

    def act(self, context: Context) -> Done:
        store = str(context.attempt.params["store"])
        with standing.changing(context.folder) as streams:
            if not any(mark.name == "before" for mark in context.marks):
                context.mark("before", stream=streams.get(store))
            streams[store] = wanted(context)
        if not standing.running(context.folder):
            context.find(
                "warning",
                "daemon-not-running",
                "the daemon of the site does not run",
                f"the log stream of {store} is declared at {context.attempt.site} and nobody streams",
                "aegis site run --file FILE",
            )
            return Done({"state": "declared"})
        limit = context.clock.monotonic() + WAIT_SECONDS
        while (now := state(context, store)) != "streaming" and context.clock.monotonic() < limit:
            context.check()
            context.progress(f"waiting for the daemon: {now}", unit="")
            context.clock.sleep(0.2)
        if now != "streaming":
            context.find(
                "warning",
                "stream-not-flowing",
                "the log stream does not flow",
                f"{store}: {now} after {WAIT_SECONDS:g} s",
                "see 'aegis status' and the daemon's own output",
            )
        return Done({"state": now})

    def undo(self, context: Context) -> Done:
        return put_back(context)


def state(context: Context, store: str) -> str:
    """What the daemon says of the stream, only where it speaks of this very declaration."""
    said = standing.daemon(context.folder)
    if said is None:
        return "declared"
    stream = said.get("streams", {}).get(store, {})
    return str(stream.get("state", "starting")) if stream.get("run") == context.attempt.run else "starting"
