"""Backup and restore of Milvus step by step in this process, with the context that a site would give: real servers,
a real repository, real seals."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aegis_plan.actions.backup import Backup
from aegis_plan.actions.contract import SiteKeys
from aegis_plan.catalog.record import SetRecord
from aegis_plan.clock import SystemClock, new_id
from aegis_plan.dispatch.contract import Attempt, Earlier, Mark, Note
from aegis_plan.documents.model import Documents
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.sealing.keys import new_identity, new_signing_key
from aegis_plan.stores.archive import shelf_of
from aegis_plan.stores.drivers import driver
from aegis_plan.stores.milvus.model import BackupParams, LoadParams, StageParams


class _Plain:
    def text(self, value: str) -> str:
        return value


@dataclass
class Site:
    """The context of one attempt; marks outlive it."""

    attempt: Attempt
    declared: Documents
    folder: Path
    repositories: dict[str, Any]
    keys: SiteKeys
    kept: list[Mark]
    findings: list[Note]
    clock: Any = field(default_factory=SystemClock)
    secrets: Any = field(default_factory=_Plain)
    stopping: bool = False

    @property
    def marks(self) -> list[Mark]:
        return self.kept

    def check(self) -> None:
        pass

    def progress(self, phase: str, done: int = 0, total: int | None = None, unit: str = "B") -> None:
        pass

    def mark(self, name: str, **data: Any) -> None:
        self.kept.append(Mark(name=name, data=data, at=self.clock.now()))

    def find(self, severity: Any, code: str, summary: str, detail: str = "", hint: str = "") -> None:
        self.findings.append(Note(severity=severity, code=code, summary=summary, detail=detail, hint=hint))

    def children(self) -> Any:
        raise AssertionError("Milvus is reached over the network")


class Rig:
    """One store `vectors` whose members are named with their connection and server fields."""

    def __init__(self, base: Path, members: dict[str, dict[str, Any]], keep: str = "beside") -> None:
        self.base = base
        identity, recipient = new_identity()
        private, public = new_signing_key()
        self.keys = SiteKeys(private, (identity,))
        (base / "here").mkdir(parents=True, exist_ok=True)
        self.repositories = {"here": LocalRepository("here", base / "here")}
        known = {name: {"site": "seoul", **one} for name, one in members.items()}
        self.declared = Documents.model_validate({
            "system": {"name": "aegis"},
            "repositories": {"here": {"kind": "local", "site": "seoul", "path": str(base / "here")}},
            "stores": {"vectors": {
                "engine": "milvus", "members": known, "backup": {"repositories": ["here"]}, "keep_old_data": keep,
            }},
            "sealing": {"recovery_recipient": recipient, "signers": {"seoul": public}},
        })  # fmt: skip
        self.marks: dict[tuple[str, str], list[Mark]] = {}
        self.findings: list[Note] = []
        self.numbers: dict[tuple[str, str], int] = {}
        self.run = new_id(datetime.now(UTC))

    def site(self, step: str, params: dict[str, Any]) -> Site:
        key = (self.run, step)
        self.numbers[key] = self.numbers.get(key, 0) + 1
        attempt = Attempt(
            run=self.run, step=step, verb="act", number=self.numbers[key], epoch=1, site="seoul",
            resource="vectors/data", action=step, params=params, declared={}, earlier=Earlier(),
            start_by=datetime.now(UTC), timeout=600,
        )  # fmt: skip
        return Site(
            attempt, self.declared, self.base / "site", dict(self.repositories), self.keys,
            self.marks.setdefault(key, []), self.findings,
        )  # fmt: skip

    def look(self, member: str) -> Any:
        return driver("milvus").look(self.site("look", {}), "vectors", member)

    def backup(self, member: str) -> SetRecord:
        """Takes a set and gives its record."""
        self.run = new_id(datetime.now(UTC))
        self.findings.clear()
        lineage = self.look(member).lineage
        params = BackupParams(store="vectors", member=member, lineage=lineage).model_dump(mode="json")
        done = Backup().act(self.site("backup", params))
        shelf = shelf_of(self.site("backup", params), "vectors")
        record = next(one for one in shelf.records if one.id == done.outputs["record"])
        assert isinstance(record, SetRecord)
        self.digest = done.outputs["digest"]
        return record

    def step(self, kind: str, params: Any, verb: str = "act") -> dict[str, Any]:
        action = driver("milvus").actions()[kind]
        return dict(getattr(action, verb)(self.site(kind, params.model_dump(mode="json"))).outputs)

    def stage(self, record: SetRecord, member: str, **more: Any) -> dict[str, Any]:
        """Begins a restore with its first step."""
        self.run = new_id(datetime.now(UTC))
        self.findings.clear()
        params = StageParams(
            store="vectors", member=member, lineage=record.lineage, record=record.id, digest=self.digest, **more
        )
        return self.step("stage", params)

    def params(self, member: str, **more: Any) -> LoadParams:
        return LoadParams(
            store="vectors", member=member, keep_old=self.declared.stores["vectors"].keep_old_data, **more
        )

    def restore(self, record: SetRecord, member: str, **more: Any) -> None:
        """Every step of a restore in place, or with `beside` the ones that there are."""
        self.stage(record, member, **more)
        beside = {"beside": more["beside"]} if more.get("beside") else {}
        for kind in ("load", "compare") if beside else ("load", "compare", "swap", "accept"):
            self.step(kind, self.params(member, **beside))

    def codes(self) -> set[str]:
        return {one.code for one in self.findings}
