"""The step `move-away`: where both do not fit, the old data goes to another disk before the restored data is staged.

It is copied, made durable and compared before anything is removed; undo brings it back.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.stores.postgresql import olddata
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.clear import away, describe, differs, erase, find_mark, idle, refuse, taken
from aegis_plan.stores.postgresql.kept import copy_verified
from aegis_plan.stores.postgresql.model import ClearParams
from aegis_plan.stores.postgresql.swap import failed, log_home, relink
from aegis_plan.stores.programs import account


def _control(directory: Path) -> str | None:
    """A digest of the control file, which every start of a server changes."""
    try:
        return hashlib.sha256((directory / "global" / "pg_control").read_bytes()).hexdigest()
    except OSError:
        return None


class MoveAway:
    """Move the old data to where it is kept."""

    kind = "move-away"

    def probe(self, context: Context) -> Probed:
        returned, cleared = find_mark(context, "returned"), find_mark(context, "cleared")
        if cleared is not None and returned is None:
            return Probed("satisfied", outputs=self._outputs(context))
        return Probed("needed", "the old data was not moved to its end")

    def act(self, context: Context) -> Done:
        params = ClearParams.model_validate(context.attempt.params)
        if find_mark(context, "cleared") is not None:
            return Done(self._outputs(context))
        final = Path(params.place.data_directory)
        if find_mark(context, "leaving") is None:
            old = olddata.find(final)
            refuse(context, params, old)
            lay = describe(old, context.attempt.run)
            copies = self._copies(params, old, context.attempt.run)
            context.mark("leaving", **lay, copies=copies, control=_control(final))
        found = find_mark(context, "leaving")
        assert found is not None
        if find_mark(context, "removing") is None:
            for copy in found.data["copies"]:
                context.progress("copy the old data", unit="")
                copy_verified(Path(copy["source"]), Path(copy["goal"]), context.check)
            self._point(params, dict(found.data), kept=True)
            if final.is_dir() and _control(final) not in (found.data["control"], None):
                raise differs(f"{final}: a server worked in it while it was copied")
        away(context, params, dict(found.data))
        return Done(self._outputs(context))

    def undo(self, context: Context) -> Done:
        params = ClearParams.model_validate(context.attempt.params)
        found = find_mark(context, "leaving")
        if found is None:
            return Done()
        lay = dict(found.data)
        if find_mark(context, "returned") is None:
            idle(Path(params.place.data_directory))
            if find_mark(context, "removing") is None:
                self._rename_back(lay)
            else:
                self._bring_back(context, params, lay)
                self._point(params, lay, kept=False)
            context.mark("returned")
        for copy in lay["copies"]:
            goal = Path(copy["goal"])
            shutil.rmtree(goal.with_name(goal.name + ".partial"), ignore_errors=True)
            erase(context, goal)
        return Done()

    def _outputs(self, context: Context) -> dict[str, Any]:
        lay = find_mark(context, "leaving")
        assert lay is not None
        return {"log": lay.data["log"], "old": {copy["source"]: copy["goal"] for copy in lay.data["copies"]}}

    def _copies(self, params: ClearParams, old: olddata.Old, run: str) -> list[dict[str, str]]:
        base = str(places.aside(Path(params.keep) / old.directory.name, run))
        goals = [(old.directory, base)]
        goals += [(folder, f"{base}.tablespace-{oid}") for oid, folder in old.tablespaces.items()]
        goals += [(old.log, f"{base}.pg_wal")] if old.log is not None else []
        return [{"source": str(source), "goal": goal} for source, goal in goals]

    def _point(self, params: ClearParams, lay: dict[str, Any], kept: bool) -> None:
        """Lets the links of the kept copy lead to kept data, or those of what was brought back to its own."""
        goals = {copy["source"]: copy["goal"] for copy in lay["copies"]}
        root = Path(goals[params.place.data_directory] if kept else params.place.data_directory)
        ids = account(params.place.run_as)
        relink(root, {oid: goals[folder] for oid, folder in lay["spaces"].items()} if kept else lay["links"], ids)
        wanted = goals[lay["log"]] if kept and lay["log"] else lay["link"]
        link, fresh = root / "pg_wal", root / "pg_wal.aegis"
        if wanted is not None and link.is_symlink() and os.readlink(link) != wanted:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(wanted)
            stat = os.lstat(link)
            os.lchown(fresh, stat.st_uid, stat.st_gid)
            fresh.replace(link)
            places.sync_folder(root)

    def _rename_back(self, lay: dict[str, Any]) -> None:
        """Nothing was removed yet: what was taken out of reach goes back to its place."""
        for move in reversed(lay["moves"]):
            source, target = Path(move["source"]), Path(move["target"])
            if os.path.lexists(target):
                if os.path.lexists(source):
                    raise taken(source)
                os.rename(target, source)
                places.sync_folder(source.parent)
                places.sync_folder(target.parent)
        for folder in map(Path, lay["bins"]):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _bring_back(self, context: Context, params: ClearParams, lay: dict[str, Any]) -> None:
        """Copies the old data back. There is no room for it beside what was restored, which goes first."""
        run = context.attempt.run
        for folder in map(Path, lay["bins"]):
            erase(context, folder)
        for copy in lay["copies"]:
            out = failed(Path(copy["source"]), run)
            if places.ours(out, context):
                places.remove(out, context)
        if lay["log"]:
            shutil.rmtree(log_home(Path(lay["log"]), run), ignore_errors=True)
        begun = {mark.data["source"] for mark in context.marks if mark.name == "bringing"}
        over = {mark.data["source"] for mark in context.marks if mark.name == "brought"}
        # The data directory comes last: no server may find it before its tablespaces.
        for copy in reversed(lay["copies"]):
            source, goal = Path(copy["source"]), Path(copy["goal"])
            if copy["source"] in over:
                continue
            moved = [Path(move["source"]) for move in lay["moves"]]
            names = [name for name in moved if name == source or name.parent == source]
            if copy["source"] not in begun:
                for name in filter(os.path.lexists, names):
                    raise taken(name)
                context.mark("bringing", source=copy["source"])
            context.progress("copy the old data back", unit="")
            if not places.mounted(source):
                copy_verified(goal, source, context.check)
                context.mark("brought", source=copy["source"])
                continue
            back = source / f".aegis-back-{run}"
            copy_verified(goal, back, context.check)
            for entry in sorted(back.iterdir(), key=lambda entry: (entry.name == "global", entry.name)):
                if os.path.lexists(source / entry.name):
                    raise taken(source / entry.name)
                os.rename(entry, source / entry.name)
            places.sync_folder(source)
            context.mark("brought", source=copy["source"])
            back.rmdir()


ACTION = MoveAway()
