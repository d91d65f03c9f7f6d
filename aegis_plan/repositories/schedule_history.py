"""The records of the schedule in the repositories: written to all of them, kept at the site until they are there, read
by the day. It believes none without a listed signer's signature, and removes none by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from aegis_plan.catalog.schedule_record import ADAPTER, FORMAT, ScheduleRecord
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.sealing.signatures import Signers, disclose, enclose

PART = "schedule"
PATIENCE = timedelta(days=7)
"""So long a record waits at the site for a repository that is away, once another has it."""
Places = Mapping[str, Repository | AegisError]


@dataclass
class History:
    """What was found."""

    records: list[ScheduleRecord] = field(default_factory=list)
    """Each once, oldest first."""
    wrong: list[str] = field(default_factory=list)
    """What could not be read or believed, and where."""
    unseen: dict[str, str] = field(default_factory=dict)
    """Repositories that could not be read, with the reason."""


def day_of(moment: datetime) -> str:
    """The part of a key that a day is."""
    return f"{moment:%Y-%m-%d}"


def days(repository: Repository, system: str, horizon: str) -> tuple[str, ...]:
    """The days of which a repository holds records, oldest first. Of those before the `horizon`, which are few, it is
    made sure: SeaweedFS goes on naming a folder that became empty, and a plan has to come to an end."""
    root = keys.schedule_root(system)
    return tuple(
        day
        for day in repository.folders(root)
        if day >= horizon or next(repository.listing(f"{root}{day}/"), None) is not None
    )


def write(
    record: ScheduleRecord, signing_key: bytes, places: Places, spool: Path, now: datetime
) -> dict[str, str | None]:
    """Signs the record and puts it, with all that waits at the site, into every repository that can be reached.

    Returns for each None, or why it did not take all. Raises OSError where the site's folder cannot be written."""
    body = ADAPTER.dump_python(record, mode="json")
    _keep(spool / f"{day_of(record.ended)}.{record.id}.json", enclose(body, PART, record.site, signing_key))
    return forward(record.system, places, spool, now)


def forward(system: str, places: Places, spool: Path, now: datetime) -> dict[str, str | None]:
    """Puts what waits at the site into the repositories, and forgets there what all of them hold."""
    outcome: dict[str, str | None] = {
        name: str(found) if isinstance(found, AegisError) else None for name, found in places.items()
    }
    for path in _waiting(spool):
        day, _, identity = path.name.removesuffix(".json").partition(".")
        try:
            data = path.read_bytes()
        except OSError:
            continue  # another run has just forwarded it
        taken = 0
        for name, found in places.items():
            if isinstance(found, AegisError) or (outcome[name] is not None and len(places) > 1):
                continue
            try:
                found.put(keys.schedule_record(system, day, identity), data)
                taken += 1
            except AegisError as error:
                outcome[name] = str(error)
        old = taken and day < day_of(now - PATIENCE)
        if places and (taken == len(places) or old):
            with suppress(OSError):
                path.unlink()
    return outcome


def load(system: str, signers: Signers, places: Places, wanted: Sequence[str], spool: Path | None) -> History:
    """The records of the days wanted, from any repository that has them and from what waits at the site."""
    history = History()
    known: dict[str, ScheduleRecord] = {}
    read_keys: set[str] = set()
    for name, found in places.items():
        if isinstance(found, AegisError):
            history.unseen[name] = found.summary
            continue
        try:
            for day in wanted:
                for key, data in _objects(found, f"{keys.schedule_root(system)}{day}/", read_keys):
                    record = _believe(system, signers, key, data, f"{name}: {key}", history)
                    if record is not None:
                        read_keys.add(key)
                        known[record.id] = record
        except AegisError as error:
            history.unseen[name] = error.summary
    for path in _waiting(spool) if spool is not None else ():
        day, _, identity = path.name.removesuffix(".json").partition(".")
        if identity in known or day not in wanted:
            continue
        with suppress(OSError):
            data = path.read_bytes()
            record = _believe(system, signers, keys.schedule_record(system, day, identity), data, str(path), history)
            if record is not None:
                known[record.id] = record
    history.records = sorted(known.values(), key=lambda record: (record.ended, record.id))
    return history


def days_back(now: datetime, count: int) -> tuple[str, ...]:
    """So many days up to the present one, oldest first."""
    return tuple(day_of(now - timedelta(days=back)) for back in reversed(range(count)))


def _objects(repository: Repository, prefix: str, known: set[str]) -> Iterator[tuple[str, bytes]]:
    for listed in repository.listing(prefix):
        if listed.key not in known:
            yield listed.key, read(repository, listed.key)


def _believe(
    system: str, signers: Signers, key: str, data: bytes, where: str, history: History
) -> ScheduleRecord | None:
    try:
        body, signer = disclose(data, PART, signers)
        oldest = body.get("oldest_reader")
        if isinstance(oldest, int) and oldest > FORMAT:
            history.wrong.append(f"{where}: written by a newer version")
            return None
        record = ADAPTER.validate_python(body)
    except AegisError as error:
        history.wrong.append(f"{where}: {error.summary}")
        return None
    except ValidationError:
        history.wrong.append(f"{where}: a record cannot be read")
        return None
    if record.site != signer or key != keys.schedule_record(system, day_of(record.ended), record.id):
        history.wrong.append(f"{where}: a signed record of another place was put here")
        return None
    return record


def _waiting(spool: Path) -> list[Path]:
    try:
        return sorted(path for path in spool.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except OSError:
        return []


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    with open(beside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
