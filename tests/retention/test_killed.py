"""SIGKILL at every write and every deletion of a prune, before it and after it; then it goes on.

The points are enumerated in real processes on real folders: whatever was killed where, no record promises what is gone,
what is needed is whole, and the next try leaves nothing behind.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_plan.actions.contract import SiteKeys
from aegis_plan.actions.expire import Expire
from aegis_plan.actions.prune import Prune
from aegis_plan.clock import SystemClock
from aegis_plan.dispatch.contract import Attempt, Mark
from aegis_plan.documents.model import Documents
from aegis_plan.repositories import records
from aegis_plan.repositories.contract import Head, Repository
from aegis_plan.repositories.leftover import leftovers
from aegis_plan.repositories.local import LocalRepository
from tests.repositories.catalogs import START, Made, Writer

NOW = START + timedelta(hours=1)
PLACES = ("here", "there")


class Then(SystemClock):
    """A clock of that day, a second later each time."""

    ticks = itertools.count()

    def now(self) -> datetime:
        return NOW + timedelta(seconds=next(Then.ticks))


class Killing(LocalRepository):
    """A folder whose user is killed at one of its changes, before or after that is done."""

    changes = itertools.count(1)
    point = 0
    after = False

    def delete(self, key: str) -> None:
        self._at(lambda: super(Killing, self).delete(key))

    def put(self, key: str, data: bytes) -> Head:
        made: list[Head] = []
        self._at(lambda: made.append(super(Killing, self).put(key, data)))
        return made[0]

    def _at(self, change: Any) -> None:
        mine = next(Killing.changes)  # several threads delete
        if mine == Killing.point and not Killing.after:
            os.kill(os.getpid(), signal.SIGKILL)
        change()
        if mine == Killing.point:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Here:
    """What an action is given."""

    attempt: Attempt
    declared: Documents
    keys: SiteKeys
    folder: Path
    repositories: Mapping[str, Repository]
    clock: Then = field(default_factory=Then)
    marks: list[Mark] = field(default_factory=list)
    findings: list[tuple[str, ...]] = field(default_factory=list)
    stopping = False

    def check(self) -> None:
        """Nobody asks it to stop."""

    def progress(self, *_told: object) -> None:
        """Nobody looks."""

    def mark(self, name: str, **data: Any) -> None:
        self.marks.append(Mark(name=name, data=data, at=NOW))

    def find(self, *told: str) -> None:
        self.findings.append(told)


@dataclass
class Case:
    """Two repositories with an old full and its log, one that leads to the period that is kept, and newer ones."""

    folder: Path
    writer: Writer
    old: list[Made]
    new: list[Made]

    def repositories(self, kind: type[LocalRepository] = LocalRepository) -> dict[str, LocalRepository]:
        return {name: kind(name, self.folder / name) for name in PLACES}

    def context(self, action: str, kind: type[LocalRepository] = LocalRepository, **params: Any) -> Any:
        attempt = Attempt(
            run="run-1", step=action, verb="act", number=1, epoch=0, site="seoul", resource="", action=action,
            params={"store": "policy-db", **params}, declared={}, start_by=NOW, timeout=60.0,
        )  # fmt: skip
        return Here(attempt, self.documents(), SiteKeys(self.writer.private), self.folder, self.repositories(kind))

    def documents(self) -> Documents:
        return Documents.model_validate(
            {
                "system": {"name": "aegis", "timezone": "UTC"},
                "sites": {"seoul": {}},
                "stores": {
                    "policy-db": {
                        "engine": "postgresql",
                        "members": {"a": {"site": "seoul"}},
                        "backup": {
                            "repositories": list(PLACES),
                            "full": {"retain": "7d"},
                            "log": {"retain": "3d"},
                        },
                    }
                },
                "repositories": {
                    name: {"kind": "local", "site": "seoul", "path": str(self.folder / name)} for name in PLACES
                },
                "sealing": {"recovery_recipient": "age1x", "signers": self.writer.signers},
            }
        )

    def expire(self, kind: type[LocalRepository] = LocalRepository) -> None:
        ids = [made.id for made in self.old]
        Expire().act(self.context("expire", kind, records=ids, again=[], at_once=True, accept_shorter=False))

    def prune(self, kind: type[LocalRepository] = LocalRepository) -> Any:
        context = self.context("prune", kind, records=[made.id for made in self.old], leftovers=False)
        Prune().act(context)
        return context

    def holds_what_it_promises(self) -> None:
        """No record that counts lacks anything, and what stays is whole in both places."""
        shelf = records.shelf("aegis", "policy-db", self.writer.signers, self.repositories(), cache=None)
        for holding in shelf.holdings:
            assert holding.reachable, holding.reason
            assert holding.damage == ()
            assert {made.id for made in self.new} <= set(holding.held)

    def files(self) -> set[str]:
        return {
            str(path.relative_to(self.folder))
            for name in PLACES
            for path in (self.folder / name).rglob("*")
            if path.is_file() and ".partial" not in path.parts
        }

    def gone(self) -> None:
        """Nothing of the old set and its log is left, nothing of the new ones is missing, nothing is unnamed."""
        there = self.files()
        for made, wanted in [*((one, False) for one in self.old), *((one, True) for one in self.new)]:
            for key, _ in made.files():
                for name in PLACES:
                    assert (f"{name}/{key}" in there) is wanted, key
        shelf = records.shelf("aegis", "policy-db", self.writer.signers, self.repositories(), cache=None)
        for repository in self.repositories().values():
            assert leftovers(repository, "aegis", "policy-db", shelf.records, NOW, timedelta(days=-99_999)) == []


def case(folder: Path) -> Case:
    folder.mkdir(exist_ok=True)
    writer = Writer(system="aegis", store="policy-db")
    month = timedelta(days=40)
    old = [writer.range(0x100, 0x200, month), writer.full(month)]
    new = [writer.full(timedelta(days=10)), writer.full(), writer.full(), writer.range()]
    made = Case(folder, writer, old, new)
    for one in (*old, *new):
        one.put(*made.repositories().values())
    return made


def killed(act: Any, point: int, after: bool) -> bool:
    """Does it in a process of its own that is killed at the point; False: that point was never reached."""
    child = os.fork()
    if child == 0:
        Killing.point, Killing.after = point, after
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


STRIDE = 5
"""Of the points; `--sweep` tries all."""


def points(sweep: bool) -> Iterator[tuple[int, bool]]:
    return itertools.islice(itertools.product(range(1, 60), (False, True)), 0, None, 1 if sweep else STRIDE)


@pytest.mark.sweep
@pytest.mark.parametrize("phase", ["expire", "prune"])
def test_a_prune_that_is_killed_anywhere_goes_on(phase: str, tmp_path: Path, sweep: bool) -> None:
    tried, whole = 0, 8 if phase == "expire" else 24
    for point, after in points(sweep):
        made = case(tmp_path / f"{point}-{after}")
        if phase == "prune":
            made.expire()
        act = made.expire if phase == "expire" else made.prune
        if not killed(lambda act=act: act(Killing), point, after):
            break
        tried += 1
        made.holds_what_it_promises()
        made.expire()
        made.prune()
        made.gone()
        made.holds_what_it_promises()
        before = made.files()
        made.prune()
        assert made.files() == before
    assert tried == (whole if sweep else -(-whole // STRIDE))


@pytest.mark.parametrize("behind", [0, 4])
def test_what_a_hold_took_back_meanwhile_is_not_deleted(tmp_path: Path, behind: int) -> None:
    """Also where the clock of who holds it is minutes `behind` the one of who marked it."""
    from aegis_plan.actions.hold import Hold

    class Slow(Then):
        def now(self) -> datetime:
            return super().now() - timedelta(minutes=behind)

    made = case(tmp_path)
    made.expire()
    full = made.old[1]
    hold = {"records": [full.id], "until": "", "reason": "audit", "by": "kim", "release": []}
    slow = made.context("hold", lineage=full.record.lineage, **hold)
    slow.clock = Slow()
    Hold().act(slow)
    context = made.prune()
    there = made.files()
    assert all(f"{name}/{key}" in there for key, _ in full.files() for name in PLACES)
    assert not any(f"{name}/{key}" in there for key, _ in made.old[0].files() for name in PLACES)
    assert any("kim" in part for told in context.findings for part in told)


def test_what_the_storage_refuses_to_delete_is_told_and_the_rest_goes(tmp_path: Path) -> None:
    from aegis_plan.errors import AegisError

    made = case(tmp_path)
    made.expire()
    locked = made.old[1].objects[0][0]

    class Locked(LocalRepository):
        def delete(self, key: str) -> None:
            if key == locked and self.name == "here":
                raise AegisError("object-locked", "an object is locked", f"{key} until 2027-01-01", "wait")
            super().delete(key)

    context = made.prune(Locked)
    there = made.files()
    assert f"here/{locked}" in there
    assert f"here/{made.old[1].key}" in there, "the record stays, so that the next try finds what is left"
    assert f"there/{made.old[1].key}" not in there
    assert not any(f"here/{key}" in there for key, _ in made.old[0].files())
    assert any("2027-01-01" in part for told in context.findings for part in told)
    made.holds_what_it_promises()
    made.prune()
    made.gone()


def test_only_old_things_that_no_record_names_are_leftovers(tmp_path: Path) -> None:
    made = case(tmp_path)
    here = made.repositories()["here"]
    lost = f"v1/aegis/stores/policy-db/{made.writer.lineage}/sets/20260101T000000Z-dead-F1/base.000"
    here.put(lost, b"what a killed upload left")
    key = f"v1/aegis/stores/policy-db/{made.writer.lineage}/keys/20260101T000000Z-dead-F1.0000.json"
    here.put(key, b"{}")
    before = made.files()
    context = made.context("prune", records=[], leftovers=True)
    context.clock = SystemClock()
    Prune().act(context)
    assert made.files() == before, "they are young"
    for name in (lost, key):
        os.utime(tmp_path / "here" / name, (0, 0))
    context = made.context("prune", records=[], leftovers=True)
    Prune().act(context)
    assert before - made.files() == {f"here/{lost}", f"here/{key}"}
    here.put(lost, b"again")
    os.utime(tmp_path / "here" / lost, (0, 0))
    (tmp_path / "here" / made.new[0].key).write_bytes(b"not a record")
    context = made.context("prune", records=[], leftovers=True)
    Prune().act(context)
    assert any("leftovers-not-sought" in told for told in context.findings)
    assert f"here/{lost}" in made.files()
