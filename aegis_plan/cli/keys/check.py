"""`aegis keys check`: looks at beginning and end of every object, whether it really is sealed. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import EXIT_FAILED, AegisError
from aegis_plan.report.visible import dumps

if TYPE_CHECKING:
    from aegis_plan.catalog.record import LogRecord, SetRecord
    from aegis_plan.documents.model import Documents
    from aegis_plan.observe.snapshot import Snapshot
    from aegis_plan.repositories.contract import Repository

_PARALLEL = 8


@dataclass
class Checked:
    """What was found of all objects."""

    objects: int = 0
    opened: int = 0
    problems: list[dict[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """What could not be looked at."""


@click.command("check")
@click.option("--store", "stores", metavar="NAME", multiple=True, shell_complete=declared("stores"),
              help="Only this store; may be repeated.")  # fmt: skip
@click.option("--identity", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="File with a key that opens backups, beside those of this host.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def command(session: Session, stores: tuple[str, ...], identity: Path | None, as_json: bool) -> int:
    """See of every object in every repository that it is sealed: its mark, its place, and its first and last segment
    where a key of this host opens it.

    Exit code 1 when one is not, or could not be looked at. 'aegis verify' reads whole objects.
    """
    from aegis_plan.cli.planning import require_known
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.site.sitefile import identities_in

    loaded = load_documents()
    for store in stores:
        require_known("store", store, loaded.documents.stores)
    with world(loaded.documents, loaded.digest) as seen:
        identities = list(seen.here.keys.identities)
        if identity is not None:
            identities += identities_in(identity.read_text(encoding="utf-8"), str(identity))
        snapshot = seen.observe(stores or None)
        checked = check(loaded.documents, snapshot, seen.repositories, identities)
    if as_json:
        click.echo(dumps({"format": 1, **vars(checked)}, indent=2))
    else:
        out = session.console()
        for one in checked.problems:
            out.print(f"error: {one['repository']}: {one['object']}: {one['problem']}", soft_wrap=True, markup=False)
        for text in checked.unknown:
            out.print(f"warning: not looked at: {text}", soft_wrap=True, markup=False)
        bad = len(checked.problems)
        out.print(
            f"{checked.objects} objects looked at, {checked.opened} opened at both ends, {bad} not sealed.",
            soft_wrap=True,
        )
    return EXIT_FAILED if checked.problems or checked.unknown else 0


def check(
    documents: Documents,
    snapshot: Snapshot,
    repositories: Mapping[str, Repository | AegisError],
    identities: list[str],
) -> Checked:
    """Looks at every object of every living record in each repository that holds it."""
    from aegis_plan.catalog.living import living

    checked = Checked()
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="check") as pool:
        for name, look in snapshot.stores.items():
            checked.unknown.extend(look.shelf.unseen)
            alive = living(look.shelf)
            records: list[SetRecord | LogRecord] = [*alive.sets, *alive.log]
            for record in records:
                halves = list(_halves(documents, name, record, repositories, identities))
                for holder in alive.holders.get(record.id, ()):
                    found = repositories[holder]
                    if not isinstance(found, AegisError):
                        _record(checked, pool, found, record, halves)
    checked.unknown = list(dict.fromkeys(checked.unknown))
    return checked


def _halves(
    documents: Documents,
    store: str,
    record: SetRecord | LogRecord,
    repositories: Mapping[str, Repository | AegisError],
    identities: list[str],
) -> Iterator[bytes]:
    """What the keys at hand open of the record's data key."""
    from aegis_plan.repositories import keys
    from aegis_plan.repositories.datakeys import load_key

    prefix = keys.data_key_prefix(documents.system.name, store, record.lineage, record.key)
    reached = {name: found for name, found in repositories.items() if not isinstance(found, AegisError)}
    sealing = documents.sealing
    try:
        key = load_key(reached, prefix, identities, sealing.believed if sealing else {})
    except AegisError:
        return  # without a key what can be read is looked at
    yield from (half for half in (key.data, key.meta) if half is not None)


def _record(
    checked: Checked,
    pool: ThreadPoolExecutor,
    repository: Repository,
    record: SetRecord | LogRecord,
    halves: list[bytes],
) -> None:
    from aegis_plan.repositories.sealed import inspect

    # Who has only the half for what the next backup needs cannot tell by a failure which half an object wants.
    secrets = halves if len(halves) == 2 else ()

    def one(number: int) -> str | AegisError:
        try:
            return inspect(repository, record.objects[number], secrets)
        except AegisError as error:
            return error

    for stored, said in zip(record.objects, pool.map(one, range(len(record.objects))), strict=True):
        if isinstance(said, AegisError):
            checked.unknown.append(f"{repository.name}: {stored.key}: {said}")
            continue
        checked.objects += 1
        checked.opened += bool(secrets) and not said
        if said:
            checked.problems.append({"repository": repository.name, "object": stored.key, "problem": said})
