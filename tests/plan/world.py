"""Small builders of documents, catalogs and looks for tests of planning. Everything is by hand and without servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_plan.catalog.holding import Damage, Holding, Shelf
from aegis_plan.catalog.record import Ending, LogRecord, Record, SetRecord, StoredObject, TombstoneRecord
from aegis_plan.documents.digest import digest
from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import MemberLook, PastDuration, SiteLook, Snapshot, StoreLook, store_facts

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
"""A Sunday; minute 0 of what the builders count in minutes."""
LINEAGE = "7000000000000000001-18"


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def documents(**changes: Any) -> Documents:
    """One store with one server, two local repositories, a service of tier 1 that uses it, and a scenario."""
    declared: dict[str, Any] = {
        "system": {"name": "aegis", "timezone": "UTC", "objectives": {"rto": "4h", "rpo": "15m"}},
        "state": {"authority": "here"},
        "tiers": {"1": {"name": "critical", "rto": "1h", "rpo": "5m"}, "2": {"name": "important"}},
        "sites": {"seoul": {}, "busan": {"role": "standby", "reach": {"ssh": "aegis@busan-ops"}}},
        "services": {
            "auth": {
                "tier": 1,
                "uses": ["policy-db"],
                "runs_at": ["seoul"],
                "start": {"command": ["start-auth"]},
                "health": {"tcp": {"address": "localhost:1"}},
            }
        },
        "stores": {
            "policy-db": {
                "engine": "postgresql",
                "members": {
                    "seoul-1": {
                        "site": "seoul",
                        "connection": "${env:DB}",
                        "server": {"data_directory": "/srv/pg/data", "binaries": "/usr/lib/postgresql/18/bin"},
                    }
                },
                "backup": {
                    "repositories": ["here", "there"],
                    "full": {"schedule": "0 2 * * 0"},
                    "incremental": {"schedule": "0 2 * * 1-6"},
                    "log": {"schedule": "*/15 * * * *"},
                },
            }
        },
        "repositories": {
            "here": {"kind": "local", "site": "seoul", "path": "/srv/here"},
            "there": {"kind": "local", "site": "seoul", "path": "/srv/there"},
        },
        "sealing": {"recovery_recipient": "age1x"},
        "scenarios": {"db-lost": {"disruption": "store", "affects": {"stores": ["policy-db"]}}},
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = declared
        for parent in parents:
            place = place[parent.replace("_", "-") if parent not in place else parent]
        key = last if last in place else last.replace("_", "-") if last.replace("_", "-") in place else last
        place[key] = value
    return Documents.model_validate(declared)


def lsn(number: int) -> str:
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def stored(name: str, size: int = 1000) -> StoredObject:
    return StoredObject(
        name=name, key=f"k/{name}", plain_size=size, plain_sha256="a", sealed_size=size // 2, sealed_sha256="b"
    )


def a_set(
    name: str, minute: float, begin: int, end: int, *, timeline: int = 1, parent: str | None = None, **more: Any
) -> SetRecord:
    return SetRecord(
        **{
            "id": f"r-{name}",
            "system": "aegis",
            "store": "policy-db",
            "lineage": LINEAGE,
            "written": at(minute),
            "site": "seoul",
            "set": name,
            "engine": "postgresql",
            "method": "incremental" if parent else "full",
            "parent": f"r-{parent}" if parent else None,
            "begun": at(minute),
            "ended": at(minute),
            "begin": f"{timeline}/{lsn(begin)}",
            "end": f"{timeline}/{lsn(end)}",
            "not_before": at(minute),
            "not_after": at(minute),
            "key": name,
            "objects": (stored("base.000", 100_000),),
            "run": "x",
            "tool": "t",
            **more,
        }
    )


def a_range(name: str, minute: float, begin: int, end: int, *, timeline: int = 1, **more: Any) -> LogRecord:
    return LogRecord(
        **{
            "id": f"r-{name}",
            "system": "aegis",
            "store": "policy-db",
            "lineage": LINEAGE,
            "written": at(minute),
            "site": "seoul",
            "begin": f"{timeline}/{lsn(begin)}",
            "end": f"{timeline}/{lsn(end)}",
            "covers_until": at(minute),
            "key": "log",
            "objects": (stored("log", 1000),),
            **more,
        }
    )


def a_history(timeline: int, minute: float, *switched: tuple[int, int]) -> LogRecord:
    text = "".join(f"{parent}\t{lsn(switch)}\tno recovery target specified\n" for parent, switch in switched)
    _parent, switch = switched[-1]
    return a_range(
        f"h{timeline}",
        minute,
        switch,
        switch,
        timeline=timeline,
        details={"history": True, "text": text},
    )


def a_tombstone(target: str) -> TombstoneRecord:
    return TombstoneRecord(
        id=f"r-t-{target}",
        system="aegis",
        store="policy-db",
        lineage=LINEAGE,
        aspect="data",
        written=at(0),
        site="seoul",
        targets=(Ending(record=f"r-{target}", digest="d", reason="expired"),),
        delete_from=at(0),
        run="x",
    )


def shelf(
    *records: Record,
    missing: dict[str, tuple[str, ...]] | None = None,
    damage: dict[str, tuple[Damage, ...]] | None = None,
    away: tuple[str, ...] = (),
) -> Shelf:
    """All records in both repositories, but for those `missing` there by name."""
    holdings = []
    for repository in ("here", "there"):
        lost = {f"r-{name}" for name in (missing or {}).get(repository, ())}
        holdings.append(
            Holding(repository=repository, reachable=False, reason="no route")
            if repository in away
            else Holding(
                repository=repository,
                reachable=True,
                held=tuple(record.id for record in records if record.id not in lost),
                damage=(damage or {}).get(repository, ()),
            )
        )
    seen = records if len(away) < 2 else ()
    return Shelf(store="policy-db", records=tuple(sorted(seen, key=lambda record: record.id)), holdings=tuple(holdings))


RUNNING: dict[str, Any] = {
    "version": 180006,
    "timeline": 1,
    "flush_lsn": "0/5000",
    "size_bytes": 100_000,
    "wal_level": "replica",
    "summarize_wal": True,
    "data_checksums": True,
    "wal_log_hints": False,
    "max_slot_wal_keep_size_mb": 4096,
    "can_replicate": True,
    "data_directory": "readable",
    "free_bytes": 10**12,
    "binaries_version": 180000,
    "slot": {
        "name": "aegis_policy_db",
        "active": False,
        "wal_status": "reserved",
        "restart_lsn": "0/1000",
        "safe_bytes": None,
    },
}
GONE: dict[str, Any] = {
    "version": 180000,
    "data_directory": "missing",
    "free_bytes": 10**12,
    "binaries_version": 180000,
}


def member(state: str = "primary", *, name: str = "seoul-1", site: str = "seoul", **details: Any) -> MemberLook:
    base = RUNNING if state in ("primary", "replica") else GONE
    known = {**base, **details}
    lineage = known.pop("lineage", LINEAGE if state in ("primary", "replica") else None)
    return MemberLook.model_validate(
        {"member": name, "site": site, "state": state, "lineage": lineage, "details": known, "reason": ""}
    )


def snapshot(
    catalog: Shelf,
    *members: MemberLook,
    minute: float = 60,
    daemon: dict[str, Any] | None = None,
    durations: tuple[PastDuration, ...] = (),
) -> Snapshot:
    look = StoreLook(store="policy-db", members=members or (member(),), shelf=catalog)
    return Snapshot(
        taken_at=at(minute),
        sites={
            "seoul": SiteLook(site="seoul", reachable=True, host="h", daemon=daemon),
            "busan": SiteLook(site="busan", reachable=True, host="b"),
        },
        stores={"policy-db": look},
        durations=durations,
        facts=store_facts(look),
    )


def digest_of(made: Documents) -> str:
    return digest(made)
