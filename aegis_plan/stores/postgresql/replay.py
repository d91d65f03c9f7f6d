"""The step `replay`: lets the staged data recover to an explicit target on a private socket and proves it.

A server that merely started is no proof: the target, the timeline that it left and that it takes writes are looked at.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import psycopg

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.clock import stamp
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.control_file import cluster
from aegis_plan.stores.postgresql.model import ReplayParams
from aegis_plan.stores.postgresql.offer import library_missing
from aegis_plan.stores.postgresql.positions import format_lsn, parse, parse_lsn
from aegis_plan.stores.postgresql.private_server import Goal, PrivateServer, end_private
from aegis_plan.stores.postgresql.segments import Scan, Switch, commit_at, floor, join, read_history, scan, unread
from aegis_plan.stores.programs import account

PROMOTE_SECONDS = 600.0
_LOWER = re.compile(r"(max_\w+) = \d+ is a lower setting than on the primary server, where its value was (\d+)")


class Replay:
    """Replay the log and prove the target."""

    kind = "replay"

    def probe(self, context: Context) -> Probed:
        params = ReplayParams.model_validate(context.attempt.params)
        where = places.layout(params.place)
        for folder in (where.staging, where.final):
            note = places.read_note(folder)
            if note and note.get("state") == "replayed" and places.ours(folder, context):
                return Probed("satisfied", outputs=dict(note["replayed"]))
        return Probed("needed", "the staged data was not replayed yet")

    def act(self, context: Context) -> Done:
        probed = self.probe(context)
        params = ReplayParams.model_validate(context.attempt.params)
        where = places.layout(params.place)
        if probed.answer == "satisfied":
            if params.place.beside is not None:
                places.remove(where.spool, context)
            return Done(probed.outputs)
        if not places.ours(where.staging, context):
            raise AegisError("nothing-staged", "there is no staged data of this run", str(where.staging))
        end_private(where.staging)
        staged = context.attempt.outputs.get(params.stage) or dict((places.read_note(where.staging) or {})["outputs"])
        private = PrivateServer(context, params, where, cluster(params.place.binaries, where.staging))
        try:
            reached = self._recover(context, params, private, staged)
            outputs = self._prove(context, params, private, reached, staged)
        finally:
            private.close()
        found = cluster(params.place.binaries, where.staging)
        if found.state != "shut down" or found.timeline != outputs["timeline"]:
            raise AegisError(
                "replay-not-clean",
                "the restored data was not left in a clean state",
                f"{where.staging}: {found.state}, timeline {found.timeline}",
                "look into the server's log in the folder of the run, then try again",
            )
        note = places.read_note(where.staging) or {}
        places.write_note(
            where.staging, account(params.place.run_as), **{**note, "state": "replayed", "replayed": outputs}
        )
        if params.place.beside is not None:
            if where.final.exists():
                where.final.rmdir()
            where.staging.rename(where.final)
            places.sync_folder(where.final.parent)
            places.remove(where.spool, context)
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        params = ReplayParams.model_validate(context.attempt.params)
        where = places.layout(params.place)
        if places.ours(where.staging, context):
            end_private(where.staging)
        elif params.place.beside is not None and places.ours(where.final, context):
            end_private(where.final)
            where.final.rename(where.staging)  # so that the undo of `stage` finds it
        return Done()

    def _goals(
        self, context: Context, params: ReplayParams, where: places.Layout, staged: dict[str, Any]
    ) -> tuple[list[Goal], AegisError | None]:
        """What is asked of the server, the wanted one first; and why the end of the log must not be the goal."""
        timeline, end = parse(staged["end"])
        size = int(staged["segment_size"])
        consistent = parse(staged["consistent_at"])
        # The set itself reaches to its end: where no log lies behind it, its last record is found from its begin.
        begin = parse(staged["begin"]).lsn if consistent.timeline == timeline else end - 1 - (end - 1) % size
        found: Scan | None = None
        for start in (end - 1 - (end - 1) % size, end - 1 - (end - 1) % size - 4 * size, begin):
            if start >= begin and found is None:
                last = scan(params.place.binaries, where.spool, timeline, max(start, begin), size)
                found = last if last.last_record is not None else None
        if found is None or found.last_record is None:
            raise DamageError(
                "log-empty",
                "nothing can be read of the log that was fetched",
                f"timeline {timeline}, {staged['end']}",
                "recover to a point before it",
            )
        last_record = found.last_record
        if params.target_lsn is not None:
            # What lies before a position is there, and the record that begins at it is not.
            text = params.target_lsn
            wanted = floor(parse(text).lsn if text.count("/") == 2 else parse_lsn(text), size)
            goals = [Goal("recovery_target_lsn", format_lsn(wanted), wanted, inclusive=False)]
            if found.end is not None and last_record < wanted <= found.end:
                # Nothing follows it that a server could stop before.
                goals.append(Goal("recovery_target_lsn", format_lsn(last_record), last_record))
            return goals, None
        goals = [Goal("recovery_target_lsn", format_lsn(last_record), last_record)]
        if params.target_time is not None:
            moment = params.target_time.astimezone(UTC)
            goals.insert(0, Goal("recovery_target_time", f"{moment:%Y-%m-%d %H:%M:%S.%f}+00", 0))
        stuck = unread(where.spool, timeline, found, end, size)
        if stuck is None:
            return goals, None
        unfit = DamageError(
            "log-unreadable",
            "the log cannot be read to the end of what was archived",
            f"a server can read it to {join(timeline, stuck)}, and it is archived to {staged['end']}",
            f"--to {join(timeline, stuck)} takes it back to there; what lies behind is lost",
        )
        return goals, unfit

    def _recover(
        self, context: Context, params: ReplayParams, private: PrivateServer, staged: dict[str, Any]
    ) -> dict[str, Any]:
        """Brings the server to its target and leaves it paused there; gives what it saw."""
        earlier = [mark.data for mark in context.marks if mark.name == "reached"]
        if earlier and not (private.where.staging / "recovery.signal").exists():
            private.start(None, {})  # promoted by an attempt that was killed after the proof
            return earlier[-1]
        goals, unfit = self._goals(context, params, private.where, staged)
        if unfit is not None and len(goals) == 1:
            raise unfit
        raised: dict[str, int] = {}
        private.start(goals[0], raised)
        begin = parse(staged["begin"]).lsn
        end = parse(staged["end"]).lsn
        for _ in range(1 << 30):
            context.check()
            said = private.died()
            if said is not None:
                if "before configured recovery target was reached" in said and len(goals) > 1:
                    if params.target_lsn is None:
                        self._covered(params, staged)
                    if unfit is not None:
                        raise unfit
                    goals.pop(0)
                    private.start(goals[0], raised)
                    continue
                raise _refused(said, params, staged)
            seen = self._look(private)
            if seen is None:
                context.clock.sleep(0.1)
                continue
            replayed, paused, recovering, commit = seen
            context.progress("replay", max(0, replayed - begin), max(0, end - begin))
            if paused or not recovering:
                lower = self._lower(private, raised)
                if paused and lower:
                    raised.update(lower)
                    private.stop()
                    private.start(goals[0], raised)
                    continue
                if not recovering or replayed < goals[0].until:
                    raise AegisError(
                        "target-not-reached",
                        "the replay stopped before its target",
                        f"at {format_lsn(replayed)}, wanted {goals[0].value}",
                        "try again; if it stops there again, choose an earlier point",
                    )
                if goals[0].until and goals[0].inclusive:
                    binaries, spool = params.place.binaries, private.where.spool
                    at = commit_at(binaries, spool, params.timeline, goals[0].until)
                    commit = max(filter(None, (commit, at)), default=None)
                reached = {
                    "replayed_to": join(params.timeline, replayed),
                    "last_commit": stamp(commit) if commit else None,
                }
                context.mark("reached", **reached)
                return reached
            context.clock.sleep(0.1)
        raise AssertionError

    def _covered(self, params: ReplayParams, staged: dict[str, Any]) -> None:
        # A time after the last commit of an idle database is reached by the end of a log that is known to reach it.
        covers = datetime.fromisoformat(staged["covers_until"])
        if params.target_time is None or covers < params.target_time:
            raise AegisError(
                "target-after-log",
                "the target lies behind the end of the log",
                f"wanted {params.target_time}, the log is complete until {covers}",
                "recover to `latest`, or to a time before that",
            )

    def _look(self, private: PrivateServer) -> tuple[int, bool, bool, datetime | None] | None:
        try:
            with private.connect() as connection:
                row = connection.execute(
                    "select pg_is_in_recovery(), pg_last_wal_replay_lsn()::text, pg_last_xact_replay_timestamp(),"
                    " case when pg_is_in_recovery() then pg_get_wal_replay_pause_state() end"
                ).fetchone()
        except psycopg.OperationalError:
            return None  # not consistent yet, or it has just ended: its log tells
        assert row is not None
        return parse_lsn(row[1]) if row[1] else 0, row[3] == "paused", bool(row[0]), row[2]

    def _lower(self, private: PrivateServer, raised: dict[str, int]) -> dict[str, int]:
        """Settings that the log demands to be higher than ours; a server pauses for them long before its target."""
        text = private.log.read_text("utf-8", "replace") if private.log.exists() else ""
        found = {name: int(value) for name, value in _LOWER.findall(text)}
        return {name: value for name, value in found.items() if raised.get(name, 0) < value}

    def _prove(
        self,
        context: Context,
        params: ReplayParams,
        private: PrivateServer,
        reached: dict[str, Any],
        staged: dict[str, Any],
    ) -> dict[str, Any]:
        """Promotes, and proves that the new timeline leaves the wanted one at or behind the target."""
        end = context.clock.monotonic() + PROMOTE_SECONDS
        asked = False
        while True:
            context.check()
            said = private.died()
            if said is not None:
                raise _refused(said, params, staged)
            try:
                with private.connect() as connection:
                    row = connection.execute("select pg_is_in_recovery()").fetchone()
                    if row and not row[0]:
                        connection.execute("checkpoint")
                        now = connection.execute(
                            "select timeline_id, pg_current_wal_insert_lsn()::text,"
                            " (select count(*) from pg_database where datallowconn) from pg_control_checkpoint()"
                        ).fetchone()
                        break
                    if not asked:
                        connection.execute("select pg_promote(wait => false)")
                        asked = True
            except psycopg.OperationalError:
                pass
            if context.clock.monotonic() > end:
                raise AegisError("promotion-too-slow", "the restored server did not become writable", f"{end:g} s")
            context.clock.sleep(0.1)
        assert now is not None
        timeline, databases = int(now[0]), int(now[2])
        history = private.where.staging / "pg_wal" / f"{timeline:08X}.history"
        left = read_history(history.read_bytes())[-1] if history.exists() else Switch(0, 0)
        if left.timeline != params.timeline or left.position < parse(reached["replayed_to"]).lsn:
            raise AegisError(
                "timeline-differs",
                "the restored server did not follow the wanted timeline",
                f"timeline {timeline} left timeline {left.timeline} at {format_lsn(left.position)}; wanted "
                f"timeline {params.timeline} at {reached['replayed_to']}",
                "make a new plan; the log in the repositories contradicts itself",
            )
        return {
            "timeline": timeline,
            "replayed_to": reached["replayed_to"],
            "last_commit": reached["last_commit"],
            "covers_until": _holds(params, staged),
            "expected_end": staged["end"],
            "heartbeat": self._heartbeat(context, params, private, reached["last_commit"] or _holds(params, staged)),
            "databases": databases,
        }

    def _heartbeat(
        self, context: Context, params: ReplayParams, private: PrivateServer, newest: str | None
    ) -> str | None:
        """The time that the declared query gives; None, with a finding, for all that is no proof of one."""
        beat = context.declared.stores[params.store].heartbeat
        if beat is None:
            return None
        try:
            with private.connect(beat.database or "postgres") as connection:
                # It is asked of data that is to be put in place: it may neither change it nor keep it waiting.
                connection.execute("set session characteristics as transaction read only")
                connection.execute("set statement_timeout = '30s'")
                row = connection.execute(beat.query.encode()).fetchone()
        except psycopg.Error as error:
            context.find(
                "warning",
                "heartbeat-unreadable",
                "the heartbeat of the restored data cannot be read",
                f"SQLSTATE {error.sqlstate or 'none'}",
                "the age of the data is told by its last commit instead",
            )
            return None
        moment = row[0] if row else None
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            what = "no row" if row is None else "a null" if moment is None else f"a {type(moment).__name__}"
            if isinstance(moment, datetime):
                what = "a time without a time zone"
            why = f"its query gives {what}, wanted is one timestamp with time zone"
        elif moment > (datetime.fromisoformat(newest) if newest else context.clock.now()):
            why = (
                f"it says {stamp(moment)}, later than the newest commit of the restored data ({newest or 'not known'})"
            )
        else:
            return stamp(moment)
        context.find(
            "warning",
            "heartbeat-no-proof",
            "the heartbeat of the restored data proves no time",
            why,
            "correct `heartbeat` of the store; the age of the data is told by its last commit instead",
        )
        return None


def _holds(params: ReplayParams, staged: dict[str, Any]) -> str | None:
    """The moment up to which the restored data has every commit; a position alone tells none."""
    if params.target_lsn is not None:
        return None
    if params.target_time is not None:
        return stamp(params.target_time)
    return str(staged["covers_until"])


def _refused(said: str, params: ReplayParams, staged: dict[str, Any]) -> AegisError:
    if "No space left on device" in said:
        return AegisError(
            "no-space",
            "there is not enough room for the restored data",
            f"the disk of {params.place.data_directory} filled up during the replay: {said}",
            "make room, or restore beside on another disk",
        )
    if "before configured recovery target was reached" in said:
        return AegisError(
            "target-not-reached",
            "the replay stopped before its target",
            f"the log ends at {staged['end']}: {said}",
            "choose an earlier point, or `latest`",
        )
    if "before consistent recovery point" in said or "before the backup" in said:
        return AegisError(
            "target-before-set",
            "the target lies before the end of the backup set",
            f"the set is consistent from {staged['consistent_at']}: {said}",
            "choose an older set: make a new plan for that time",
        )
    if "could not access file" in said:
        return library_missing(said)
    return AegisError(
        "replay-failed",
        "the restored server ended during its replay",
        said,
        "look into the server's log in the folder of the run, then try again",
    )


ACTION = Replay()
