"""Backup and restore of PostgreSQL 15 beside pgBackRest and `pg_basebackup | zstd`: one cluster and disk, zstd level 3.

All go through their own commands, in turns, so that a busy machine hurts all alike. `python -m tests.bench.postgresql
[MEGABYTES] [ROUNDS]`.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.bench.measure import Cost, measured
from tests.thread.world import World, world

OURS = "aegis, sealed"
PIPE = "pg_basebackup | zstd -3"


@dataclass
class Rest:
    """pgBackRest of one cluster, in one repository."""

    here: World
    processes: int
    sealed: bool

    @property
    def name(self) -> str:
        return (
            f"pgBackRest, {self.processes} process{'es' * (self.processes > 1)}, {'sealed' if self.sealed else 'plain'}"
        )

    @property
    def folder(self) -> Path:
        return self.here.folder / f"pgbackrest-{self.processes}-{self.sealed:d}"

    def command(self, *words: str) -> list[str]:
        cipher = ["--repo1-cipher-type=aes-256-cbc"] if self.sealed else []
        return [
            "pgbackrest", "--config=/dev/null", "--stanza=bench", f"--repo1-path={self.folder}/repository",
            f"--lock-path={self.folder}/lock", "--log-level-console=warn",
            "--log-level-file=off", *cipher, *words,
        ]  # fmt: skip

    def env(self) -> dict[str, str]:
        return {**os.environ, **({"PGBACKREST_REPO1_CIPHER_PASS": "a phrase of the bench"} if self.sealed else {})}

    def _server(self) -> list[str]:
        server = self.here.server
        return [
            f"--pg1-path={server.data}", f"--pg1-port={server.port}", f"--pg1-socket-path={server.sockets}",
            "--pg1-user=aegis",
        ]  # fmt: skip

    def prepare(self) -> None:
        for name in ("repository", "lock"):
            (self.folder / name).mkdir(parents=True)
        subprocess.run(self.command(*self._server(), "stanza-create"), env=self.env(), check=True)

    def backup(self) -> Cost:
        # It keeps the log by an archiver of its own, which is not part of the comparison.
        words = self.command(
            *self._server(), "--type=full", "--start-fast", "--compress-type=zst", "--compress-level=3",
            f"--process-max={self.processes}", "--no-archive-check", "--no-expire-auto", "backup",
        )  # fmt: skip
        return measured(words, env=self.env(), cwd=self.here.folder, server=self.here.server.pid)

    def restore(self) -> Cost:
        place = self.here.folder / "restored-by-pgbackrest"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        words = self.command(f"--pg1-path={place}", f"--process-max={self.processes}", "--type=none", "restore")
        cost = measured(words, env=self.env(), cwd=self.here.folder)
        shutil.rmtree(place)
        return cost


@dataclass
class Pipe:
    """`pg_basebackup` into zstd, and back through tar."""

    here: World

    def shell(self, text: str) -> Cost:
        env = {**os.environ, "PGHOST": str(self.here.server.sockets), "PGPORT": str(self.here.server.port)}
        words = ["bash", "-c", f"set -eo pipefail; {text}"]
        return measured(words, env=env, cwd=self.here.folder, server=self.here.server.pid)

    def backup(self) -> Cost:
        # To the disk in the end, as the others promise it.
        program = self.here.server.binaries / "pg_basebackup"
        return self.shell(
            f"'{program}' -U aegis -D - -Ft -Xf -c fast | zstd -q -3 -f -o peer.tar.zst && sync peer.tar.zst"
        )

    def restore(self) -> Cost:
        place = self.here.folder / "restored-by-tar"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        cost = self.shell("zstd -q -d -c peer.tar.zst | tar x -C restored-by-tar && sync -f restored-by-tar")
        shutil.rmtree(place)
        return cost


@dataclass
class Ours:
    """The product, as a user runs it."""

    here: World
    steps: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of single steps, from the journals."""

    def backup(self) -> Cost:
        return self._run("backup", "backup", "policy-db", "--full", "-y")

    def restore(self) -> Cost:
        place = self.here.folder / "restored-by-aegis"
        cost = self._run("stage", "restore", "policy-db", "--beside", str(place), "-y")
        for left in place.parent.glob(f"{place.name}*"):
            shutil.rmtree(left)
        return cost

    def _run(self, kind: str, *words: str) -> Cost:
        cost = measured(
            self.here.command(*words), env=self.here.env(), cwd=self.here.folder, server=self.here.server.pid
        )
        took = seconds(self.here, kind)
        self.steps.setdefault(kind, []).append(took)
        return cost


def seconds(here: World, kind: str) -> float:
    """What the step of that kind took in the newest run, by its journal."""
    run = max(here.runs(), key=lambda path: (path / "journal.jsonl").stat().st_mtime)
    entries = here.journal(run)
    for entry in entries:
        if entry["kind"] == "outcome" and entry["data"]["verb"] == "act":
            steps = {
                step["id"]: step["action"] for step in json.loads((run / "plan.json").read_text())["plan"]["steps"]
            }
            if steps.get(entry["step"]) == kind:
                outcome = entry["data"]["outcome"]
                begin, end = (datetime.fromisoformat(outcome[name]) for name in ("begun", "ended"))
                return (end - begin).total_seconds()
    raise RuntimeError(f"no step {kind} in {run.name}")


def fill(here: World, megabytes: int) -> None:
    """A third is pgbench's, which compresses well; the rest are digits and letters in random order."""
    server = here.server
    scale = max(1, megabytes // 3 // 15)
    subprocess.run(
        [server.binaries / "pgbench", "-h", server.sockets, "-p", str(server.port), "-U", "aegis", "-i", "-q", "-s",
         str(scale), "postgres"],
        check=True, capture_output=True,
    )  # fmt: skip
    rows = (megabytes - scale * 15) * 3700
    here.sql(
        "CREATE TABLE audit AS SELECT g AS id, now() AS at, md5(g::text) || md5(random()::text) || md5((g * 7)::text)"
        f" || repeat('policy ', 12) || md5(random()::text) AS body FROM generate_series(1, {rows}) g"
    )
    here.sql("VACUUM")
    here.sql("CHECKPOINT")


def show(title: str, found: dict[str, list[Cost]], ours: list[float], label: str) -> None:
    print(f"\n{title} (median of {len(next(iter(found.values())))}; load {os.getloadavg()[0]:.1f})")
    print(f"  {'':34} {'wall s':>8} {'CPU s':>8} {'server s':>9} {'peak MiB':>9}   wall and CPU of ours to it")
    mine = found[OURS]
    for name, costs in found.items():
        wall, cpu, server, peak = (
            statistics.median(getattr(cost, field) for cost in costs) for field in ("wall", "cpu", "server", "peak")
        )
        ratio = (
            f"{statistics.median(one.wall for one in mine) / wall:8.2f} "
            f"{statistics.median(one.cpu for one in mine) / cpu:8.2f} "
            f"{statistics.median(one.cpu + one.server for one in mine) / (cpu + server):8.2f} with the server's"
        )
        print(f"  {name:34} {wall:8.2f} {cpu:8.2f} {server:9.2f} {peak:9.0f}   {ratio if name != OURS else ''}")
    print(f"  {OURS + ', ' + label:34} {statistics.median(ours):8.2f}")


def run(megabytes: int, rounds: int) -> None:
    with world(["seoul"], major=15) as here:
        here.sql("ALTER SYSTEM SET archive_mode = on")
        here.sql("ALTER SYSTEM SET archive_command = '/bin/true'")
        here.sql("ALTER SYSTEM SET max_wal_size = '2GB'")
        here.server.stop()
        here.server.start()
        fill(here, megabytes)
        here.ok("apply", "-y", timeout=600)  # slot, the first full, log
        peers = [Rest(here, 1, False), Rest(here, 1, True), Rest(here, 2, False), Rest(here, 2, True)]
        if shutil.which("pgbackrest") is None:
            print("pgbackrest is not installed (Debian pgbackrest): it is left out")
            peers = []
        for peer in peers:
            peer.prepare()
        pipe, ours = Pipe(here), Ours(here)
        tools: dict[str, Pipe | Rest | Ours] = {PIPE: pipe, **{peer.name: peer for peer in peers}, OURS: ours}
        rows = here.sql("SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database")
        print(f"PostgreSQL 15 with {rows[0][0]}, zstd level 3, {os.cpu_count()} cores, all on one file system")
        for title, verb, kind in (("Backup", "backup", "backup"), ("Restore", "restore", "stage")):
            found: dict[str, list[Cost]] = {name: [] for name in tools}
            for _ in range(rounds):
                for name, tool in tools.items():
                    act: Callable[[], Cost] = getattr(tool, verb)
                    found[name].append(act())
            show(title, found, ours.steps[kind], f"the step `{kind}`")
        print(
            "\n  `server` is the server's share: of aegis and pg_basebackup the process that reads the files and sends"
            " them,\n  which pgBackRest does itself; of a restore by aegis the replay, which the others leave to the"
            " first start."
        )


def main() -> None:
    words = [int(word) for word in sys.argv[1:]]
    run(*words, *(900, 3)[len(words) :])


if __name__ == "__main__":
    main()
