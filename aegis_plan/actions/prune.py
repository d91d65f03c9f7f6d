"""The step `prune`: deletes what was marked before, once the mark is seen everywhere and its grace is over, and what no
record names. It deletes nothing that anything which stays needs.

In each repository the objects go first and the record last, under the tombstone that says that it no longer counts:
whoever is killed in between finds the record and goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.actions.expire import everywhere, kept, stopped, verdict
from aegis_plan.catalog.ending import Ended
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.copies import wrapped_keys
from aegis_plan.repositories.leftover import UNREAD, leftovers
from aegis_plan.stores.archive import shelf_of

BEGUN = "prune-begun"
"""Name of the mark that is written before the first deletion."""
_PARALLEL = 8

Gone = SetRecord | LogRecord


class Prune:
    """Parameters: store, records, leftovers."""

    kind = "prune"

    def probe(self, context: Context) -> Probed:
        params = context.attempt.params
        shelf = shelf_of(context, params["store"])
        if shelf.unseen:
            return Probed("needed", f"not every repository can be seen: {shelf.unseen[0]}")
        present = {record.id for record in shelf.records}
        left = [one for one in params["records"] if one in present]
        if left:
            return Probed("needed", f"{len(left)} records are still there")
        if params["leftovers"]:
            return Probed("needed", "leftovers are looked for")
        return Probed("satisfied", outputs={"deleted": 0, "freed": 0, "leftovers": 0})

    def act(self, context: Context) -> Done:
        params = context.attempt.params
        name = params["store"]
        ready = everywhere(context, name)
        shelf = shelf_of(context, name)
        found = verdict(context, shelf, False)
        if found.stopped:
            raise stopped(name, found.stopped)
        ripe = {one.record: one for one in found.deletable}
        known = {record.id: record for record in shelf.records if isinstance(record, Gone)}
        going = [known[one] for one in params["records"] if one in known and one in ripe]
        for one in params["records"]:
            if one in known and one not in ripe:
                kept(context, one, found.kept.get(one, "its mark is taken back, or not yet known everywhere"))
        freed = _delete_all(context, shelf, going, ripe, ready) if going else 0
        left = self._leftovers(context, ready) if params["leftovers"] else 0
        return Done({"deleted": len(going), "freed": freed, "leftovers": left})

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "what was deleted is not brought back",
            str(context.attempt.params["store"]),
            "nothing has to be done",
        )

    def _leftovers(self, context: Context, ready: Mapping[str, Repository]) -> int:
        """Removes what no record names; the records are read anew, as what was deleted just now is gone."""
        name = context.attempt.params["store"]
        shelf = shelf_of(context, name)
        unread = [damage for holding in shelf.holdings for damage in holding.damage if damage.kind in UNREAD]
        if shelf.unseen or unread:
            why = shelf.unseen[0] if shelf.unseen else f"{unread[0].repository}: {unread[0].detail}"
            context.find(
                "warning",
                "leftovers-not-sought",
                "leftovers are not looked for while the catalog is not whole",
                f"{name}: {why}",
                "what a record that cannot be read names must not be taken for a leftover",
            )
            return 0
        backup = context.declared.stores[name].backup
        age = backup.retention.leftovers_after if backup is not None else timedelta(days=2)
        system, now, gone = context.declared.system.name, context.clock.now(), 0
        for repository in ready.values():
            context.progress("look for leftovers")
            old = leftovers(repository, system, name, shelf.records, now, age)
            gone += each(context, repository, [(listed.key, deleting(repository, listed.key)) for listed in old])
            gone += len(repository.sweep(keys.store_root(system, name), age.total_seconds()))
        return gone


ACTION = Prune()


def _delete_all(
    context: Context,
    shelf: Shelf,
    going: list[Gone],
    ripe: Mapping[str, Ended],
    ready: Mapping[str, Repository],
) -> int:
    context.mark(BEGUN, records=len(going))
    ids = {record.id for record in going}
    used = Counter(
        (record.lineage, record.key) for record in shelf.records if isinstance(record, Gone) and record.id not in ids
    )
    total, freed = len(going) * len(ready), 0
    for at, (name, repository) in enumerate(ready.items()):
        held = {holding.repository: set(holding.held) for holding in shelf.holdings}[name]
        jobs = [
            (record.id, _removing(record, repository, ripe[record.id], not used[record.lineage, record.key]))
            for record in reversed(going)
        ]
        each(context, repository, jobs, partial(_further, context, at * len(going), total))
        freed += sum(stored.sealed_size for record in going if record.id in held for stored in record.objects)
    return freed


def _further(context: Context, before: int, total: int, done: int) -> None:
    context.progress("delete", before + done, total, "records")


def each(
    context: Context,
    repository: Repository,
    jobs: list[tuple[str, Callable[[], None]]],
    progress: Callable[[int], None] = lambda _done: None,
) -> int:
    """Does the jobs, some at once. What the storage refuses to delete, such as what is locked there, is told and left
    for the next time; a storage that goes away ends it. Returns how many were done."""
    refused: list[AegisError] = []
    done = 0
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="prune") as pool:
        waiting = [(name, pool.submit(_unless_stopped, context, job)) for name, job in jobs]
        try:
            for _name, future in waiting:
                try:
                    future.result()
                    done += 1
                except UnavailableError:
                    raise
                except AegisError as error:
                    refused.append(error)
                progress(done + len(refused))
        except BaseException:
            for _name, future in waiting:
                future.cancel()
            raise
    if refused:
        context.find(
            "warning",
            "delete-refused",
            "a repository does not let go of what expired",
            f"{repository.name}: {len(refused)} of {len(jobs)}: {refused[0]}",
            "it is tried again by the next plan; where it is locked there, that is until the lock ends",
        )
    return done


def _unless_stopped(context: Context, job: Callable[[], None]) -> None:
    context.check()
    job()


def deleting(repository: Repository, key: str) -> Callable[[], None]:
    return lambda: repository.delete(key)


def _removing(record: Gone, repository: Repository, ended: Ended, with_key: bool) -> Callable[[], None]:
    def remove() -> None:
        if repository.head(keys.record(record.system, record.store, record.lineage, ended.tombstone)) is None:
            raise AegisError(
                "mark-missing",
                "what is to be deleted is not marked in this repository",
                f"{repository.name}: {record.id}",
                "the next plan brings the mark there first; nothing was deleted",
            )
        for stored in record.objects:
            repository.delete(stored.key)
        for key in wrapped_keys(record, repository) if with_key else ():
            repository.delete(key)
        repository.delete(keys.record(record.system, record.store, record.lineage, record.id))

    return remove
