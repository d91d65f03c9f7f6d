"""The step `swap`: puts restored databases in the place of the old, by renames that are written down before the first.

The old databases are never removed here. Every move is made only in the one state in which it is right, so that it can
be repeated or taken back after a kill at any line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError, UnknownOutcomeError
from aegis_plan.stores.neo4j import control, place
from aegis_plan.stores.neo4j.connection import declared_server
from aegis_plan.stores.neo4j.model import Server, SwapParams
from aegis_plan.stores.programs import account


@dataclass(frozen=True)
class Move:
    """One rename. `kind` is `aside` for what was served before, `in` for what was restored."""

    kind: str
    source: Path
    target: Path

    def as_data(self) -> dict[str, str]:
        return {"kind": self.kind, "source": str(self.source), "target": str(self.target)}


def plan(where: place.Layout, run: str, databases: list[str]) -> list[Move]:
    """The moves, in order, from what is there."""
    moves = []
    pairs = (
        (where.databases, where.staged / "databases", where.old(run) / "databases"),
        (where.transactions, where.staged_transactions, where.old_transactions(run) / "transactions"),
    )
    for name in databases:
        for final, staged, old in pairs:
            if os.path.lexists(final / name):
                moves.append(Move("aside", final / name, old / name))
            moves.append(Move("in", staged / name, final / name))
    return moves


def _planned(context: Context) -> list[Move] | None:
    for mark in context.marks:
        if mark.name == "moves":
            return [Move(one["kind"], Path(one["source"]), Path(one["target"])) for one in mark.data["moves"]]
    return None


def _rename(move_from: Path, move_to: Path) -> None:
    move_to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.rename(move_from, move_to)
    place.sync_folder(move_to.parent)
    place.sync_folder(move_from.parent)


class Swap:
    """Put the restored databases in place."""

    kind = "swap"

    def probe(self, context: Context) -> Probed:
        _, where = self._where(context)
        if any(mark.name == "swapped" for mark in context.marks):
            return Probed("satisfied", outputs=self._outputs(context))
        if _planned(context) is not None:
            return Probed("needed", "an earlier attempt came part of the way; the rest follows from its marks")
        note = place.read_note(where.staging)
        ready = note is not None and note.get("state") == "loaded" and place.ours(where.staging, context)
        return Probed("needed" if ready else "unknown", "" if ready else "there is no loaded data of this run")

    def act(self, context: Context) -> Done:
        server, where = self._where(context)
        if self.probe(context).answer == "satisfied":
            return Done(self._outputs(context))
        self._idle(server)
        moves = _planned(context)
        if moves is None:
            note = place.read_note(where.staging)
            if not note or note.get("state") != "loaded" or not place.ours(where.staging, context):
                raise AegisError(
                    "nothing-loaded",
                    "there is no loaded data of this run to put in place",
                    str(where.staging),
                    "the steps before have to be done first",
                )
            ids = account(server.run_as)
            for folder in (where.old(context.attempt.run), where.databases, where.transactions):
                place.own(folder, ids)
            moves = plan(where, context.attempt.run, list(note["outputs"]["databases"]))
            context.mark("moves", moves=[move.as_data() for move in moves])
        for move in moves:
            self._forth(move)
        context.mark("swapped")
        return Done(self._outputs(context))

    def undo(self, context: Context) -> Done:
        server, where = self._where(context)
        moves = _planned(context)
        if moves is None:
            return Done()
        self._idle(server)
        for move in reversed(moves):
            there, back = os.path.lexists(move.target), os.path.lexists(move.source)
            if not there:
                continue  # it was never moved, or it is back already
            if back and move.kind == "in":
                continue  # it never came in: what lies there is the old one, back again
            if back:
                raise UnknownOutcomeError(
                    "swap-unclear",
                    "old data cannot be put back because something else lies in its place",
                    f"{move.source} is taken, the old data is {move.target}",
                    "look at both and rename by hand",
                )
            if move.kind == "in" and not self._came_in(move, moves):
                continue
            _rename(move.target, move.source)
        old = where.old(context.attempt.run)
        for folder in (old / "databases", old / "transactions", old):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return Done()

    def _came_in(self, move: Move, moves: list[Move]) -> bool:
        """Whether what lies in the place is what we put there, and not the old one that is back already."""
        aside = next((one for one in moves if one.kind == "aside" and one.source == move.target), None)
        return aside is None or os.path.lexists(aside.target)

    def _where(self, context: Context) -> tuple[Server, place.Layout]:
        params = SwapParams.model_validate(context.attempt.params)
        server = declared_server(context, params.store, params.member)
        return server, place.layout(server)

    def _outputs(self, context: Context) -> dict[str, Any]:
        moves = _planned(context) or []
        return {"old": sorted({str(move.target.parent) for move in moves if move.kind == "aside"})}

    def _idle(self, server: Server) -> None:
        if control.certain(server):
            raise AegisError(
                "server-still-running",
                "a server still works in a directory that would be moved",
                str(place.layout(server).data),
                "stop it, then try again",
            )

    def _forth(self, move: Move) -> None:
        source, target = os.path.lexists(move.source), os.path.lexists(move.target)
        if not source and target:
            return
        if target and move.kind == "aside":
            return  # moved before, and what lies in its place now came in after it
        if target or not source:
            raise UnknownOutcomeError(
                "swap-unclear",
                "something lies where restored data should go"
                if target
                else "something that the swap was moving is in neither place",
                f"{move.target}" if target else f"neither {move.source} nor {move.target} is there",
                "look at it, put it right, then `aegis resume`",
            )
        _rename(move.source, move.target)


ACTION = Swap()
