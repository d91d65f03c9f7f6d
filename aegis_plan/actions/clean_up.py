"""Removes one repository's copy of a set after enough other copies were proved. It never removes anything that the
set's signed record does not name.
"""

from __future__ import annotations

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.actions.copy_set import find, record_key
from aegis_plan.errors import AegisError
from aegis_plan.repositories import copies
from aegis_plan.repositories.contract import Repository

SAID = "clean-up-proved"
"""Name of the mark that is written between the proof and the first deletion."""


class CleanUp:
    """Parameters: store, lineage, record, digest, repository, copies."""

    kind = "clean-up"

    def probe(self, context: Context) -> Probed:
        params = context.attempt.params
        repository = context.repositories[params["repository"]]
        if repository.head(record_key(context, params)) is not None:
            return Probed("needed", f"{params['repository']} still holds {params['record']}")
        record = find(context, params, _holder(context))
        left = [stored.key for stored in record.objects if repository.head(stored.key) is not None]
        if left:
            return Probed("needed", f"{len(left)} objects of {params['record']} are left in {params['repository']}")
        return Probed("satisfied", outputs={"record": params["record"]})

    def act(self, context: Context) -> Done:
        params = context.attempt.params
        repository = context.repositories[params["repository"]]
        others = _others(context)
        record = find(context, params, _holder(context))
        context.progress("prove other copies")
        proved = copies.proved_in(record, params["digest"], others, params["copies"], context.check)
        mark = f"{context.attempt.run}-{params['record']}-{context.attempt.number}"
        copies.apart(record.system, mark, repository, {name: others[name] for name in proved})
        context.mark(SAID, record=params["record"], proved=list(proved))
        copies.remove(record, repository)
        return Done({"record": params["record"], "proved": list(proved)})

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "a removed copy is not brought back by undoing",
            str(context.attempt.params["record"]),
            "`aegis plan` copies it back from a sister when the documents want it there",
        )


def _others(context: Context) -> dict[str, Repository]:
    params = context.attempt.params
    store = context.declared.stores[params["store"]]
    wanted = store.backup.repositories if store.backup else ()
    return {name: context.repositories[name] for name in wanted if name != params["repository"]}


def _holder(context: Context) -> Repository:
    """Another repository from which the record can be read: the own copy may be half gone after a kill."""
    params = context.attempt.params
    last: AegisError | None = None
    for repository in _others(context).values():
        try:
            if repository.head(record_key(context, params)) is not None:
                return repository
        except AegisError as error:
            last = error
    raise AegisError(
        "copies-not-proved",
        "a copy is not removed because too few others are proved",
        f"no other repository gives the record {params['record']}{f'; {last}' if last else ''}",
        "bring the missing copies back with `aegis plan`; nothing was removed",
    )


ACTION = CleanUp()
