"""The step `command`: runs a program of the user's, with no shell, and keeps the end of what it said."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from aegis_plan.actions.contract import Context, Done, Finished, Probed
from aegis_plan.errors import AegisError

TAIL_CHARACTERS = 4000


class Command:
    """Params: `run`, and if wanted `undo`, `probe` (each a list of words), `run_as`, `timeout` in seconds."""

    kind = "command"

    def probe(self, context: Context) -> Probed:
        words = _words(context, "probe")
        if words is None:
            return Probed("unknown", "no probe is declared for this command")
        done = _run(context, words)
        if done.code == 0:
            return Probed("satisfied", outputs={"code": 0, "output": ""})
        if done.code == 1:
            return Probed("needed")
        return Probed("unknown", f"the probe ended with code {done.code}: {_tail(done)}")

    def act(self, context: Context) -> Done:
        words = _words(context, "run")
        if words is None:
            raise AegisError("command-empty", "a command has no words", context.attempt.step, "give it a program")
        return _done(context, _run(context, words))

    def undo(self, context: Context) -> Done:
        words = _words(context, "undo")
        if words is None:
            raise AegisError(
                "undo-not-declared",
                "a command cannot be taken back",
                f"{context.attempt.step} declares no undo",
                "take its effect back by hand, or declare undo",
            )
        return _done(context, _run(context, words))


def _words(context: Context, name: str) -> list[str] | None:
    words: Sequence[str] | None = context.attempt.params.get(name)
    if not words:
        return None
    return [context.secrets.text(str(word)) for word in words]


def _run(context: Context, words: list[str]) -> Finished:
    attempt = context.attempt
    limit: Any = attempt.params.get("timeout")
    if isinstance(limit, str):
        from aegis_plan.documents.scalars import parse_duration

        limit = parse_duration(limit).total_seconds()
    context.progress(os.path.basename(words[0]), unit="")
    return context.children().run(
        words,
        user=attempt.params.get("run_as"),
        env={**os.environ, "AEGIS_RUN": attempt.run, "AEGIS_STEP": attempt.step, "AEGIS_SITE": attempt.site},
        timeout=limit,
    )


def _done(context: Context, done: Finished) -> Done:
    if done.code != 0:
        how = f"ended with code {done.code}" if done.code > 0 else f"was ended by signal {-done.code}"
        raise AegisError(
            "command-failed",
            "a command failed",
            f"{context.attempt.step} {how}{': ' + tail if (tail := _tail(done)) else ''}",
            "see what it said, repair the cause, then resume",
        )
    return Done({"code": 0, "output": _tail(done)})


def _tail(done: Finished) -> str:
    said = b"\n".join(part.strip() for part in (done.stdout, done.stderr) if part.strip())
    return said.decode("utf-8", "replace")[-TAIL_CHARACTERS:]
