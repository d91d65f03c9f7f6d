"""The step `prune-history`: deletes the records of the schedule that are kept no longer, by whole days. It is decided
anew from the days that are there, and touches nothing of a store."""

from __future__ import annotations

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.actions.prune import deleting, each
from aegis_plan.catalog.schedule_record import expired
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys, schedule_history
from aegis_plan.repositories.contract import Repository


class PruneHistory:
    """No parameters."""

    kind = "prune-history"

    def probe(self, context: Context) -> Probed:
        left = _expired(context, _days(context))
        return Probed("needed", f"{len(left)} days are left") if left else Probed("satisfied", outputs={"deleted": 0})

    def act(self, context: Context) -> Done:
        days = _days(context, tell=True)
        gone, deleted = _expired(context, days), 0
        system = context.declared.system.name
        for repository, held in days:
            for day in gone:
                if day not in held:
                    continue
                context.progress(f"delete the history of {day} in {repository.name}")
                listed = list(repository.listing(f"{keys.schedule_root(system)}{day}/"))
                deleted += each(context, repository, [(one.key, deleting(repository, one.key)) for one in listed])
        return Done({"deleted": deleted})

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "what was deleted is not brought back",
            "history of the schedule",
            "nothing has to be done",
        )


def _days(context: Context, tell: bool = False) -> list[tuple[Repository, tuple[str, ...]]]:
    """Of each repository that can be reached. One that is away keeps its own until a later plan."""
    found: list[tuple[Repository, tuple[str, ...]]] = []
    horizon = schedule_history.day_of(context.clock.now() - context.declared.schedule.history)
    for name in context.declared.repositories:
        try:
            repository = context.repositories[name]
            found.append((repository, schedule_history.days(repository, context.declared.system.name, horizon)))
        except AegisError as error:
            if tell:
                context.find(
                    "note",
                    "history-left",
                    "old records of the schedule stay where a repository cannot be reached",
                    f"{name}: {error}",
                    "a later plan removes them",
                )
    return found


def _expired(context: Context, days: list[tuple[Repository, tuple[str, ...]]]) -> tuple[str, ...]:
    seen = {day for _repository, held in days for day in held}
    return expired(seen, context.clock.now(), context.declared.schedule.history)


ACTION = PruneHistory()
