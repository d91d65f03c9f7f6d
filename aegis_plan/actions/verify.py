"""The step `verify`: looks at every copy in one repository and reads a share of the data. It writes nothing but the
signed record of what it found."""

from __future__ import annotations

from collections.abc import Iterable

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.ending import endings
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.reading import chosen
from aegis_plan.catalog.record import Checked, LogRecord, SetRecord, VerificationRecord
from aegis_plan.catalog.verified import read_at
from aegis_plan.clock import new_id
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.verifying import Verifier
from aegis_plan.sealing.signatures import digest
from aegis_plan.stores.archive import reachable, shelf_of, signing, write_record

Copied = SetRecord | LogRecord


class Verify:
    """Parameters: store, repository, records, data. `records` names those that are verified, none of them is all;
    `data` is the share that is read, 0 to 1, or nothing: what the storage vouches for is not read then."""

    kind = "verify"

    def probe(self, context: Context) -> Probed:
        params = context.attempt.params
        mine = [
            record
            for record in shelf_of(context, params["store"]).records
            if isinstance(record, VerificationRecord)
            and (record.run, record.repository) == (context.attempt.run, params["repository"])
        ]
        if not mine:
            return Probed("needed")
        return Probed("satisfied", "this run verified it", _outputs([one for record in mine for one in record.checked]))

    def act(self, context: Context) -> Done:
        params = context.attempt.params
        name, where = params["store"], params["repository"]
        repository = context.repositories[where]
        shelf = shelf_of(context, name)
        away = next((one.reason for one in shelf.holdings if one.repository == where and not one.reachable), "")
        if away:
            raise _unseen(where, away)
        copied = _copies(shelf, where, params["records"])
        checked = self._checked(context, repository, shelf, copied)
        checked = _still_there(context, name, copied, checked)
        self._write(context, shelf, copied, checked)
        for one in checked:
            if one.verdict == "fail":
                context.find(
                    "breach",
                    "copy-failed",
                    "a copy is not what was backed up",
                    f"{where}: {one.record}: {'; '.join(one.findings)}",
                    "it counts no more; 'aegis plan' makes it anew from another copy, where there is one",
                )
        unseen = [one for one in checked if one.verdict == "could_not_verify"]
        if unseen:
            raise _unseen(where, f"{len(unseen)} of {len(checked)} copies, such as {unseen[0].findings[0]}")
        return Done(_outputs(checked))

    def undo(self, context: Context) -> Done:
        """What was found stays found."""
        return Done()

    def _checked(self, context: Context, repository: Repository, shelf: Shelf, copied: list[Copied]) -> list[Checked]:
        share = context.attempt.params["data"]
        sealing = context.declared.sealing
        wanted = chosen(copied, repository.name, read_at(shelf.records), share) if share is not None else {}
        total = sum(stored.sealed_size for record in copied for stored in record.objects)
        known = [record for record in shelf.records if isinstance(record, Copied)]
        done = 0

        def progress(size: int) -> None:
            nonlocal done
            done += size
            context.progress("verify", done, total)

        verifier = Verifier(
            repository,
            sealing.believed if sealing is not None else {},
            {stored.sealed_sha256: f"{stored.name} of {record.id}" for record in known for stored in record.objects},
            context.keys.identities,
            share == 1,
            context.check,
            progress,
        )
        return [
            verifier.verify(record, digest(record), wanted=wanted.get(record.id, frozenset()), unvouched=share is None)
            for record in copied
        ]

    def _write(self, context: Context, shelf: Shelf, copied: list[Copied], checked: list[Checked]) -> None:
        _sealing, private = signing(context)
        found = {one.record: one for one in checked}
        groups: dict[tuple[str, str], list[Checked]] = {}
        for record in copied:
            if record.id in found:
                groups.setdefault((record.lineage, record.aspect), []).append(found[record.id])
        for (lineage, aspect), mine in sorted(groups.items()):
            now = context.clock.now()
            told = VerificationRecord.model_validate(
                {
                    "id": new_id(now),
                    "system": context.declared.system.name,
                    "store": context.attempt.params["store"],
                    "lineage": lineage,
                    "aspect": aspect,
                    "written": now,
                    "site": context.attempt.site,
                    "previous": tuple(shelf.heads.get(f"{lineage}/{aspect}", ())),
                    "repository": context.attempt.params["repository"],
                    "checked": tuple(mine),
                    "run": context.attempt.run,
                }
            )
            store = context.declared.stores[told.store]
            write_record(context, told, private, reachable(context, store), 1)


def _copies(shelf: Shelf, where: str, named: Iterable[str]) -> list[Copied]:
    """The living records of which the repository has, or should have, a copy: held there, or found damaged there."""
    ended, only = endings(shelf.records), set(named)
    holding = next((one for one in shelf.holdings if one.repository == where), None)
    if holding is None:
        return []
    here = set(holding.held)
    here.update(damage.record for damage in holding.damage if damage.record is not None)
    here.update(damage.key.rpartition("/")[2].removesuffix(".json") for damage in holding.damage)
    return [
        record
        for record in shelf.records
        if isinstance(record, Copied)
        and record.id not in ended
        and record.id in here
        and (not only or record.id in only)
    ]


def _still_there(context: Context, store: str, copied: list[Copied], checked: list[Checked]) -> list[Checked]:
    """Without what went on purpose while it was read: somebody may prune or clean up meanwhile."""
    if all(one.verdict == "pass" for one in checked):
        return checked
    where = context.attempt.params["repository"]
    left = {record.id for record in _copies(shelf_of(context, store), where, [record.id for record in copied])}
    return [one for one in checked if one.verdict == "pass" or one.record in left]


def _outputs(checked: list[Checked]) -> dict[str, int]:
    return {
        "copies": len(checked),
        "failed": sum(one.verdict == "fail" for one in checked),
        "unseen": sum(one.verdict == "could_not_verify" for one in checked),
        "read": sum(len(one.read) for one in checked),
        "opened": sum(one.opened for one in checked),
    }


def _unseen(where: str, detail: str) -> AegisError:
    return UnavailableError(
        "could-not-verify",
        "not every copy could be verified",
        f"{where}: {detail}",
        "what could be seen is remembered; the next plan tries the rest again",
    )


ACTION = Verify()
