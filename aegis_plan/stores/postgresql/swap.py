"""The step `swap`: puts the restored data in the place of the old, by renames that are written down before each.

The old data is never removed here. Every move is made only in the one state in which it is right, so that it can be
repeated or taken back after a kill at any line.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError, UnknownOutcomeError
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.control import processes
from aegis_plan.stores.postgresql.control_file import cluster
from aegis_plan.stores.postgresql.model import SwapParams
from aegis_plan.stores.postgresql.unpack import sync
from aegis_plan.stores.programs import account

_RUN = re.compile(r"(\.aegis-\d{8}T\d{6}Z-[0-9a-f]+)+$")


@dataclass(frozen=True)
class Move:
    """One rename. `kind` is `aside` for what was served before, `in` for what was restored."""

    kind: str
    source: Path
    target: Path

    def as_data(self) -> dict[str, Any]:
        return {"kind": self.kind, "source": str(self.source), "target": str(self.target)}

    @staticmethod
    def read(data: dict[str, Any]) -> Move:
        return Move(data["kind"], Path(data["source"]), Path(data["target"]))


def failed(folder: Path, run: str) -> Path:
    """Where restored data goes that had to leave its place again."""
    return Path(f"{str(folder).rstrip('/')}.aegis-failed-{run}")


def log_home(old: Path, run: str) -> Path:
    """Where a restored log lies whose old one lay in a folder of its own. An emptied mount point takes it in."""
    mine = f"pg_wal.aegis-{run}"
    if places.mounted(old) and not {entry.name for entry in old.iterdir()} - {"lost+found", mine}:
        return old / mine
    # Without the mark of a restore before, or the name would grow with each.
    return old.with_name(f"{_RUN.sub('', old.name)}.aegis-{run}")


def plan(context: Context, params: SwapParams, where: places.Layout) -> list[Move]:
    """The moves, in order, from what is there. Pure looking."""
    run, moves = context.attempt.run, []
    for link in sorted((where.staging / "pg_tblspc").iterdir(), key=lambda entry: entry.name):
        if link.is_symlink():
            staged = Path(os.readlink(link))
            final = Path((places.read_note(staged) or {}).get("final", str(staged)))
            if final != staged:
                if os.path.lexists(final):
                    moves.append(Move("aside", final, places.aside(final, run)))
                moves.append(Move("in", staged, final))
    if where.inside:
        old = where.old(run)
        for entry in sorted(where.final.iterdir()):
            if not places.stays(entry.name):
                moves.append(Move("aside", entry, old / entry.name))
        # The control file's folder goes last: until then no server takes the place for a data directory.
        entries = sorted(where.staging.iterdir(), key=lambda entry: (entry.name == "global", entry.name))
        moves.extend(Move("in", entry, where.final / entry.name) for entry in entries if entry.name != "lost+found")
    else:
        if os.path.lexists(where.final):
            moves.append(Move("aside", where.final, where.old(run)))
        moves.append(Move("in", where.staging, where.final))
    return moves


def _present(path: Path) -> bool:
    return os.path.lexists(path)


def _rename(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    os.rename(source, target)
    places.sync_folder(target.parent)
    if source.parent != target.parent:
        places.sync_folder(source.parent)


def relink(root: Path, wanted: dict[str, str], ids: tuple[int, int] | None) -> None:
    """Lets tablespace links point to where the data lies now."""
    links = root / "pg_tblspc"
    for oid, goal in wanted.items():
        link, fresh = links / oid, links / f"{oid}.aegis"
        if link.is_symlink() and os.readlink(link) != goal:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(goal)
            if ids:
                os.lchown(fresh, *ids)
            fresh.replace(link)
    if links.is_dir():
        places.sync_folder(links)


class Swap:
    """Put the restored data in place."""

    kind = "swap"

    def probe(self, context: Context) -> Probed:
        params = SwapParams.model_validate(context.attempt.params)
        where = places.layout(params.place)
        if any(mark.name == "swapped" for mark in context.marks) and places.ours(where.final, context):
            return Probed("satisfied", outputs=self._outputs(context, where))
        if any(mark.name == "move" for mark in context.marks):
            return Probed("needed", "an earlier attempt came part of the way; the rest follows from its marks")
        note = places.read_note(where.staging)
        ready = note is not None and note.get("state") == "replayed" and places.ours(where.staging, context)
        return Probed("needed" if ready else "unknown", "" if ready else "there is no replayed data of this run")

    def act(self, context: Context) -> Done:
        params = SwapParams.model_validate(context.attempt.params)
        where = places.layout(params.place)
        if self.probe(context).answer == "satisfied":
            return Done(self._outputs(context, where))
        for folder in (where.final, where.staging):
            self._idle(folder)
        moves = self._planned(context)
        if moves is None:
            note = places.read_note(where.staging)
            if not note or note.get("state") != "replayed" or not places.ours(where.staging, context):
                raise AegisError(
                    "nothing-replayed",
                    "there is no replayed data of this run to put in place",
                    str(where.staging),
                    "the steps before have to be done first",
                )
            if cluster(params.place.binaries, where.staging).state != "shut down":
                raise AegisError(
                    "replay-not-clean", "the restored data was not left in a clean state", str(where.staging)
                )
            self._log_link(context, params, where)
            moves = plan(context, params, where)
            links = self._links(where.staging)
            context.mark("moves", moves=[move.as_data() for move in moves], links=links)
        if where.inside:
            self._own(context, where, [move for move in moves if move.target.parent == where.old(context.attempt.run)])
        for move in moves:
            self._forth(context, move)
        self._settle_links(context, params, where)
        context.mark("swapped")
        return Done(self._outputs(context, where))

    def undo(self, context: Context) -> Done:
        params = SwapParams.model_validate(context.attempt.params)
        where = places.layout(params.place)
        moves = self._planned(context)
        if moves is None:
            return Done()
        self._idle(where.final)
        run = context.attempt.run
        for move in reversed(moves):
            if move.kind == "in":
                # What we put in goes aside under a name that says so, or back to where it was staged inside a mount.
                out = move.source if where.inside else failed(move.target, run)
                if _present(move.source) or not _present(move.target):
                    continue  # it never came in, or it is out again
                if not where.inside and not places.ours(move.target, context):
                    continue
                context.mark("back", source=str(move.target), target=str(out))
                _rename(move.target, out)
            elif _present(move.target):
                if _present(move.source):
                    raise UnknownOutcomeError(
                        "swap-unclear",
                        "old data cannot be put back because something else lies in its place",
                        f"{move.source} is taken, the old data is {move.target}",
                        "look at both and rename by hand",
                    )
                context.mark("back", source=str(move.target), target=str(move.source))
                _rename(move.target, move.source)
        ids = account(params.place.run_as)
        for mark in context.marks:
            if mark.name == "owner":
                os.chown(where.final, mark.data["user"], mark.data["group"])
                where.final.chmod(mark.data["mode"])
            if mark.name == "moves":
                links = where.final / "pg_tblspc"
                stray = {
                    oid: goal
                    for oid, goal in mark.data["links"].items()
                    if (links / oid).is_symlink() and os.readlink(links / oid) == str(places.aside(Path(goal), run))
                }
                relink(where.final, stray, ids)
        if where.inside and where.old(run).is_dir():
            where.old(run).rmdir()
        return Done({"data_directory": str(where.final)})

    def _outputs(self, context: Context, where: places.Layout) -> dict[str, Any]:
        moves = self._planned(context) or []
        return {"old": {str(move.source): str(move.target) for move in moves if move.kind == "aside"}}

    def _planned(self, context: Context) -> list[Move] | None:
        for mark in context.marks:
            if mark.name == "moves":
                return [Move.read(data) for data in mark.data["moves"]]
        return None

    def _idle(self, folder: Path) -> None:
        alive = processes(folder)
        if alive:
            raise AegisError(
                "server-still-running",
                "a server still works in a directory that would be moved",
                f"{folder}: processes {alive[:5]}",
                "stop it, then try again",
            )

    def _own(self, context: Context, where: places.Layout, kept: list[Move]) -> None:
        """A mount point stays when its entries are moved: a fresh one belongs to root, and no server takes that."""
        wanted, found = where.staging.stat(), where.final.stat()
        if (wanted.st_uid, wanted.st_gid, wanted.st_mode) != (found.st_uid, found.st_gid, found.st_mode):
            context.mark("owner", user=found.st_uid, group=found.st_gid, mode=stat.S_IMODE(found.st_mode))
            os.chown(where.final, wanted.st_uid, wanted.st_gid)
            where.final.chmod(stat.S_IMODE(wanted.st_mode))
        if kept:
            old = where.old(context.attempt.run)
            old.mkdir(mode=0o700, exist_ok=True)
            os.chown(old, wanted.st_uid, wanted.st_gid)

    def _forth(self, context: Context, move: Move) -> None:
        if not _present(move.source):
            if _present(move.target):
                return
            raise UnknownOutcomeError(
                "swap-unclear",
                "something that the swap was moving is in neither place",
                f"neither {move.source} nor {move.target} is there",
                "find it, put it back, then `aegis resume`",
            )
        if _present(move.target) and move.kind == "aside":
            return  # moved before, and what lies in its place now came in after it
        if _present(move.target):
            raise UnknownOutcomeError(
                "swap-unclear",
                "something lies where restored data should go",
                f"{move.target}; the restored data is {move.source}",
                "move it away, then `aegis resume`",
            )
        context.mark("move", **move.as_data())
        _rename(move.source, move.target)
        context.mark("moved", target=str(move.target))

    def _links(self, staging: Path) -> dict[str, str]:
        found = {}
        for link in (staging / "pg_tblspc").iterdir():
            if link.is_symlink():
                staged = Path(os.readlink(link))
                found[link.name] = str((places.read_note(staged) or {}).get("final", staged))
        return found

    def _settle_links(self, context: Context, params: SwapParams, where: places.Layout) -> None:
        ids = account(params.place.run_as)
        for mark in context.marks:
            if mark.name == "moves":
                relink(where.final, dict(mark.data["links"]), ids)
                run, kept = context.attempt.run, where.old(context.attempt.run)
                if kept.is_dir():
                    # The old directory must not serve the new tablespaces when somebody starts it by hand.
                    goals = {oid: str(places.aside(Path(goal), run)) for oid, goal in mark.data["links"].items()}
                    relink(kept, {oid: goal for oid, goal in goals.items() if Path(goal).is_dir()}, ids)

    def _log_link(self, context: Context, params: SwapParams, where: places.Layout) -> None:
        """A log folder that lay on another disk lies there again: the restored log moves next to the old one."""
        old, new, kept = where.final / "pg_wal", where.staging / "pg_wal", where.staging / ".aegis-wal"
        lay = context.attempt.outputs.get(params.cleared or "", {}).get("log")
        goal = Path(os.path.realpath(old)) if old.is_symlink() else Path(lay) if lay else None
        if goal is None or (new.is_symlink() and not kept.exists()):
            return
        fresh = log_home(goal, context.attempt.run)
        if not kept.exists():
            fresh.mkdir(mode=0o700, exist_ok=True)
            _copy_tree(new, fresh)
            # A link cannot replace a folder in one step; both names lie in staging, which is ours.
            os.rename(new, kept)
        if not new.is_symlink():
            new.symlink_to(fresh)
            os.lchown(new, kept.stat().st_uid, kept.stat().st_gid)
        places.sync_folder(where.staging)
        shutil.rmtree(kept)


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    for place, folders, files in os.walk(source):
        found = os.stat(place)
        os.chown(target / os.path.relpath(place, source), found.st_uid, found.st_gid)
        inside = os.path.relpath(place, source)
        for name in [*folders, *files]:
            found = os.stat(os.path.join(place, name))
            os.chown(target / inside / name, found.st_uid, found.st_gid)
    sync(target)


ACTION = Swap()
