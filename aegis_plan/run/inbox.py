"""Commands from other processes to a run, as files in its folder: whoever may write there may speak to it. Writing and
reading both live here; obeying is the executor's.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from aegis_plan.clock import Clock, new_id, stamp
from aegis_plan.errors import AegisError, UsageError

Do = Literal["cancel", "approve", "skip", "retry", "answer"]
FOLDER = "inbox"


@dataclass(frozen=True)
class Command:
    """One command. `word` is the reason of a skip or the `done` or `not-done` of an answer."""

    id: str
    do: Do
    step: str = ""
    word: str = ""
    by: str = ""
    at: datetime | None = None


def send(run: Path, do: str, clock: Clock, *, step: str = "", word: str = "", by: str = "") -> Command:
    """Puts a command into the inbox of the run whose folder this is; it is obeyed at once when the run is active, else
    when it is resumed. Raises UsageError `command-malformed`, AegisError `run-unknown`."""
    now = clock.now()
    command = _checked({"id": new_id(now), "do": do, "step": step, "word": word, "by": by, "at": stamp(now)})
    if not run.is_dir():
        raise AegisError(
            "run-unknown", "there is no such run", f"no folder {run}", "`aegis runs` lists the runs of this site"
        )
    box = run / FOLDER
    box.mkdir(exist_ok=True, mode=0o700)
    beside = box / f".{command.id}"
    with open(beside, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        json.dump(
            {"id": command.id, "do": do, "step": step, "word": word, "by": by, "at": stamp(now)}, file, sort_keys=True
        )
        file.flush()
        os.fsync(file.fileno())
    beside.rename(box / f"{command.id}.json")
    return command


def waiting(run: Path) -> tuple[list[Command], list[tuple[Path, AegisError]]]:
    """The commands that lie there, oldest first, and the files that are none."""
    good: list[Command] = []
    bad: list[tuple[Path, AegisError]] = []
    try:
        names = sorted(name for name in os.listdir(run / FOLDER) if name.endswith(".json") and name[0] != ".")
    except FileNotFoundError:
        return [], []
    for name in names:
        path = run / FOLDER / name
        try:
            command = _checked(json.loads(path.read_text()))
        except (OSError, ValueError):
            bad.append((path, _malformed(f"{name} is not JSON")))
            continue
        except AegisError as error:
            bad.append((path, error))
            continue
        good.append(command)
    return good, bad


def take_out(run: Path, command: Command) -> None:
    """Removes a command that was journaled."""
    (run / FOLDER / f"{command.id}.json").unlink(missing_ok=True)


def put_aside(path: Path) -> None:
    """Keeps a file that is no command out of the way."""
    path.rename(path.with_suffix(".refused"))


def _checked(form: Any) -> Command:
    if not isinstance(form, dict) or not all(isinstance(value, str) for value in form.values()):
        raise _malformed("it is not an object of texts")
    do, step, word = form.get("do", ""), form.get("step", ""), form.get("word", "")
    name = form.get("id", "")
    if not name or "/" in name or name.startswith("."):
        raise _malformed("its id cannot name a file")
    if do not in get_args(Do):
        raise _malformed(f"'{do}' is not one of {', '.join(get_args(Do))}")
    if do != "cancel" and not step:
        raise _malformed(f"'{do}' needs a step")
    if do == "skip" and not word:
        raise _malformed("a skip needs a reason")
    if do == "answer" and word not in ("done", "not-done"):
        raise _malformed("an answer is done or not-done")
    try:
        at = datetime.fromisoformat(form.get("at", ""))
    except ValueError:
        raise _malformed("its time cannot be read") from None
    return Command(name, do, step, word, form.get("by", ""), at)


def _malformed(detail: str) -> UsageError:
    return UsageError(
        "command-malformed",
        "a command to a run cannot be understood",
        detail,
        "see `aegis help apply` for the commands",
    )
