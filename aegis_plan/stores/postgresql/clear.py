"""The step `clear-place`: where both do not fit, the old data is removed before the restored data is staged.

Only what the plan saw goes, and only while no server works in it: first by renames, which take it out of any server's
reach, then for good. A mark says what goes before anything is touched; a step without one has touched nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Mark, Probed
from aegis_plan.errors import AegisError, UnknownOutcomeError
from aegis_plan.stores.postgresql import olddata
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.control import declared_server, processes, status
from aegis_plan.stores.postgresql.model import ClearParams
from aegis_plan.stores.postgresql.positions import parse
from aegis_plan.stores.postgresql.prove import check_space


def find_mark(context: Context, name: str) -> Mark | None:
    return next((mark for mark in context.marks if mark.name == name), None)


def idle(folder: Path) -> None:
    alive = processes(folder)
    if alive:
        raise _running(folder, f"processes {alive[:5]}")


def _running(folder: Path, what: str) -> AegisError:
    return AegisError(
        "server-still-running",
        "a server still works in a directory that would be moved",
        f"{folder}: {what}",
        "stop it, then `aegis resume`",
    )


def differs(what: str) -> AegisError:
    return AegisError(
        "old-data-differs",
        "the data directory does not hold what the plan saw there",
        what,
        "make a new plan and look at what would be removed",
    )


def taken(path: Path) -> AegisError:
    return UnknownOutcomeError(
        "old-place-taken",
        "something else lies where the old data was",
        f"{path} is not what was there when the step began",
        "look at it and move it away, then `aegis resume`",
    )


def refuse(context: Context, params: ClearParams, old: olddata.Old) -> None:
    """Everything that has to hold before the old data is touched.

    Raises AegisError `server-still-running`, `old-data-differs`, `old-log-not-kept`, `old-data-entangled`,
    `no-space`, `old-data-place`."""
    if not old.directory.is_dir():
        raise differs(f"{old.directory} is no folder any more")
    server = declared_server(context, params.store, params.member)
    state = status(server)
    if state != "stopped":
        raise _running(old.directory, f"its server is {state}")
    idle(old.directory)
    owner = olddata.belongs(params.place.binaries, old.directory)
    if owner != params.owner:
        raise differs(
            f"{old.directory}: system identifier {owner or 'unreadable'}, planned was {params.owner or 'unreadable'}"
        )
    need = params.need_bytes
    if params.tail is not None:
        left = context.attempt.outputs.get(params.tail, {})
        if params.keep == "no" and not left.get("covers_until"):
            raise AegisError(
                "old-log-not-kept",
                "the old log is not whole in the repositories, and with the old data it would be gone for good",
                f"{params.tail} could not take all of it from {old.directory}",
                "save the old data directory by hand; a plan with --to TIME goes back to the archive's end without it",
            )
        if params.tail_begin is not None and left.get("end"):
            # Staged, and copied by the replay.
            need += 2 * max(0, parse(left["end"]).lsn - parse(params.tail_begin).lsn)
    olddata.refuse_unless_plain(old, params.lineage.rpartition("-")[2])
    check_space(params.place, params.keep, need, context)


def _moves(old: olddata.Old, run: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The renames that take the old data out of reach, and the folders in which it then lies."""
    moves: list[tuple[Path, Path]] = []
    bins: list[str] = []
    for folder in old.folders:
        if places.mounted(folder):
            # The control file's folder goes first: without it no server takes the rest for a data directory.
            entries = sorted(folder.iterdir(), key=lambda entry: (entry.name != "global", entry.name))
            target = folder / f".aegis-old-{run}"
            for entry in entries:
                if not places.stays(entry.name):
                    moves.append((entry, target / entry.name))
        else:
            target = places.aside(folder, run)
            moves.append((folder, target))
        bins.append(str(target))
    found = []
    for source, target in moves:
        stat = os.lstat(source)
        found.append({"source": str(source), "target": str(target), "is": [stat.st_dev, stat.st_ino]})
    return found, bins


def describe(old: olddata.Old, run: str) -> dict[str, Any]:
    """What a mark says of the old data before it is touched."""
    moves, bins = _moves(old, run)
    link = old.directory / "pg_wal"
    return {
        "moves": moves,
        "bins": bins,
        "links": {oid: os.readlink(old.directory / "pg_tblspc" / oid) for oid in old.tablespaces},
        "spaces": {oid: str(folder) for oid, folder in old.tablespaces.items()},
        "log": str(old.log) if old.log is not None else None,
        "link": os.readlink(link) if link.is_symlink() else None,
    }


def _out_of_reach(lay: dict[str, Any]) -> None:
    for move in lay["moves"]:
        source, target = Path(move["source"]), Path(move["target"])
        if not os.path.lexists(source):
            continue
        stat = os.lstat(source)
        if [stat.st_dev, stat.st_ino] != move["is"] or os.path.lexists(target):
            raise taken(source)
        try:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            os.rename(source, target)
        except OSError as error:
            raise _stuck(source, error) from None
        places.sync_folder(target.parent)
        places.sync_folder(source.parent)


def _stuck(folder: Path, error: OSError) -> AegisError:
    return AegisError(
        "old-data-not-removed",
        "the old data could not be removed",
        f"{error.filename or folder}: {error.strerror}",
        "mend that, then `aegis resume`; a part of it may be gone, so that nothing else leads on",
    )


def erase(context: Context, folder: Path) -> None:
    """Removes a folder that is ours to remove. What is gone already is fine."""
    if not os.path.lexists(folder):
        return
    idle(folder)
    try:
        for base, folders, names in os.walk(folder, topdown=False):
            context.check()
            for name in names:
                os.unlink(os.path.join(base, name))
            for name in folders:
                path = os.path.join(base, name)
                if os.path.islink(path):
                    os.unlink(path)
                else:
                    os.rmdir(path)
        folder.rmdir()
        places.sync_folder(folder.parent)
    except OSError as error:
        raise _stuck(folder, error) from None


def away(context: Context, params: ClearParams, lay: dict[str, Any]) -> None:
    """Takes the old data out of reach and removes it. Every line can be done again after a kill."""
    if find_mark(context, "removing") is None:
        idle(Path(params.place.data_directory))
        _out_of_reach(lay)
        for folder in lay["bins"]:
            idle(Path(folder))
        context.mark("removing")
    for count, folder in enumerate(lay["bins"], 1):
        context.progress("remove the old data", count, len(lay["bins"]), unit="")
        erase(context, Path(folder))
    context.mark("cleared")


class Clear:
    """Remove the old data."""

    kind = "clear-place"

    def probe(self, context: Context) -> Probed:
        if find_mark(context, "cleared") is not None:
            return Probed("satisfied", outputs=self._outputs(context))
        return Probed("needed", "the old data was not removed to its end")

    def act(self, context: Context) -> Done:
        params = ClearParams.model_validate(context.attempt.params)
        if find_mark(context, "cleared") is None:
            if find_mark(context, "clearing") is None:
                old = olddata.find(Path(params.place.data_directory))
                refuse(context, params, old)
                context.mark("clearing", **describe(old, context.attempt.run))
            lay = find_mark(context, "clearing")
            assert lay is not None
            away(context, params, dict(lay.data))
        return Done(self._outputs(context))

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "this step cannot be taken back",
            "the old data was removed, and nothing of it is left",
            "`aegis resume` goes on to the restored data",
        )

    def _outputs(self, context: Context) -> dict[str, Any]:
        lay = find_mark(context, "clearing")
        return {"log": lay.data["log"] if lay is not None else None}


ACTION = Clear()
