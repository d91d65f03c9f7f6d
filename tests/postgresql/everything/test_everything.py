"""Random databases are backed up while people write, restored elsewhere to a moment or to the end, and compared whole:
by the server's own dump, its checker of heaps and indexes, its sequences and what its unlogged tables hold."""

from __future__ import annotations

import contextlib
import pwd
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aegis_plan.actions.backup import ACTION as BACKUP
from aegis_plan.catalog.record import SetRecord
from aegis_plan.documents.model import Documents
from aegis_plan.repositories import records
from aegis_plan.sealing.signatures import digest
from aegis_plan.stores.contract import Refusal, Target
from aegis_plan.stores.postgresql import chains, points, replay, stage
from aegis_plan.stores.postgresql.log import ACTION as LOG
from aegis_plan.stores.postgresql.model import Place, ReplayParams, StageParams
from aegis_plan.stores.postgresql.slot import ACTION as SLOT
from tests.postgresql.everything.databases import Databases, everything, sequences, sound
from tests.postgresql.restore.rig import World
from tests.servers.postgresql import PASSWORD, Server, cluster, free_port

CASES = {18: 100, 15: 60, 16: 40}
FEW = {18: 3, 15: 1}
SLOT_NAME = "aegis_db"
MEMORY = Path("/dev/shm")
"""Files of a case, of which there are thousands for hundreds of cases, need no disk."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A sweep asks more versions."""
    if "server" in metafunc.fixturenames:
        versions = sorted(CASES if metafunc.config.getoption("--sweep") else FEW, reverse=True)
        metafunc.parametrize("server", versions, indirect=True, scope="module")


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with cluster(request.param, max_slot_wal_keep_size="1GB", max_wal_size="256MB") as made:
        yield made


class Rig(World):
    """One case: its own repositories, the server that all cases of a version share."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.server = server
        super().__init__(folder, server)  # type: ignore[arg-type] # asks no more of it than `sql`
        major = int((server.data / "PG_VERSION").read_text())
        self.lineage = f"{self.lineage.rpartition('-')[0]}-{major}"
        self.position: str | None = None

    def declared(self) -> Documents:
        kinds = {"full": {}, "incremental": {}, "log": {"slot": SLOT_NAME}}
        member = {"site": "here", "connection": self.server.dsn()}
        return Documents.model_validate(
            {
                "system": {"name": "aegis"},
                "stores": {
                    "db": {
                        "engine": "postgresql",
                        "members": {"a": member},
                        "backup": {"repositories": ["one", "two"], "compression": 1, **kinds},
                    }
                },
                "sealing": {"recovery_recipient": self.recipient, "signers": {"here": self.public}},
            }
        )

    def step(self, action: Any, name: str, **params: Any) -> dict[str, Any]:
        self.run = f"20261123T000000Z-{self.count:06x}"
        site = self.site(name, {"store": "db", "member": "a", **params})
        site.kept = []
        site.secrets.text = lambda value: f"{value} password={PASSWORD}"
        return dict(action.act(site).outputs)

    def shelf(self) -> Any:
        return records.shelf("aegis", "db", {"here": self.public}, self.repositories, cache=None)

    def backup(self, parent: SetRecord | None) -> SetRecord:
        outputs = self.step(
            BACKUP, "backup", lineage=self.lineage, method="incremental" if parent else "full",
            parent=parent.id if parent else None,
        )  # fmt: skip
        return next(one for one in self.shelf().records if one.id == outputs["record"])

    def archive(self) -> None:
        outputs = self.step(LOG, "archive-log", lineage=self.lineage, slot=SLOT_NAME, begin=self.position)
        self.position = outputs["end"]

    def restore(self, target: datetime | None, folder: Path) -> Server:
        """A server of its own at a moment, running."""
        shelf = self.shelf()
        reached = points.reach(chains.archive(shelf), shelf, Target(time=target))
        assert not isinstance(reached, Refusal), reached
        place = Place(
            beside=str(folder / "data"), binaries=str(self.server.binaries), run_as=self.server.user,
            data_directory=str(folder / "data"),
        )  # fmt: skip
        common: dict[str, Any] = {
            "store": "db", "lineage": self.lineage, "place": place, "timeline": reached.timeline, "target_time": target,
        }  # fmt: skip
        self.run = "20261124T000000Z-abcdef"
        self.act(stage.ACTION, "stage", StageParams(
            **common, sets={one.id: digest(one) for one in reached.point.sets},
            log={one.id: digest(one) for one in reached.point.log},
        ))  # fmt: skip
        self.act(replay.ACTION, "replay", ReplayParams(**common, stage="stage"))
        other = Server(folder, self.server.binaries, self.server.user, port=free_port())
        with (other.data / "postgresql.conf").open("a") as conf:
            conf.write(f"\nport = {other.port}\nunix_socket_directories = '{self.server.sockets}'\nfsync = off\n")
        other.start()
        return other


def owned(folder: Path, server: Server) -> Path:
    folder.mkdir(mode=0o700)
    if server.user:
        shutil.chown(folder, server.user, pwd.getpwnam(server.user).pw_gid)
    return folder


def case(server: Server, seed: int) -> None:
    dice = random.Random(seed)
    with contextlib.ExitStack() as last:
        base = Path(tempfile.mkdtemp(prefix="ag-e-", dir=MEMORY if MEMORY.is_dir() else "/tmp"))
        last.callback(shutil.rmtree, base, ignore_errors=True)
        base.chmod(0o755)
        spaces = [f"space{number}" for number in range(dice.choice([0, 0, 1, 2]))]
        for space in spaces:
            server.sql(f"CREATE TABLESPACE {space} LOCATION '{owned(base / f'it is {space}', server)}'")
            last.callback(server.sql, f"DROP TABLESPACE IF EXISTS {space}")
        found = Databases(server, dice, spaces)
        last.callback(found.remove)
        here = Rig(base, server)
        here.step(SLOT, "create-slot", slot=SLOT_NAME)
        last.callback(server.sql, "SELECT pg_drop_replication_slot(%s)", SLOT_NAME)
        found.make()
        moments: list[tuple[datetime | None, list[str], dict[str, int]]] = []
        sets: list[SetRecord] = []
        with found.written_to():
            for _ in range(dice.randrange(1, 4)):
                sets.append(here.backup(sets[-1] if sets else None))
                for _ in range(dice.randrange(6)):
                    found.change()
                if dice.random() < 0.6:
                    here.archive()
                for _ in range(dice.randrange(3)):
                    found.change()
                with found.holding:  # nobody writes: what is there now is what the moment shows
                    time.sleep(0.02)
                    moment = server.sql("SELECT clock_timestamp()")[0][0].astimezone(UTC)
                    moments.append((moment, everything(server), sequences(server)))
                    time.sleep(0.02)
        here.archive()
        assert [one.method for one in sets] == ["full"] + ["incremental"] * (len(sets) - 1), [
            one.details.get("why_full") for one in sets
        ]
        if dice.random() < 0.4:
            moments.append((None, everything(server), sequences(server)))
        target, wanted, counted = dice.choice(moments)
        folder = owned(base / "restored", server)
        other = here.restore(target, folder)
        last.callback(other.end)
        assert everything(other) == wanted, f"seed {seed}, to {target}"
        for name, value in sequences(other).items():
            assert counted[name] <= value <= counted[name] + 33, name
        for database, unlogged in unlogged_of(other):
            assert other.sql(f"SELECT count(*) FROM {unlogged}", database=database) == [(0,)]
        assert sound(other) == ""
        links = [path.resolve() for path in (other.data / "pg_tblspc").iterdir()]
        assert all(path.is_relative_to(folder) for path in links), "a tablespace of the running server"


def unlogged_of(server: Server) -> Iterator[tuple[str, str]]:
    query = "SELECT oid::regclass::text FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r'"
    for (database,) in server.sql("SELECT datname FROM pg_database WHERE datallowconn"):
        for (name,) in server.sql(query, database=database):
            yield database, name


def test_everything_comes_back(server: Server, sweep: bool) -> None:
    major = int((server.data / "PG_VERSION").read_text())
    count = (CASES if sweep else FEW)[major]
    for number in range(count):
        case(server, major * 1000 + number)
        print(f"PostgreSQL {major}: {number + 1} of {count} without a difference", flush=True)
