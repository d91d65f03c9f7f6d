"""A whole backup and restore by the commands that people type, on a real server, killed on the way and resumed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aegis_plan.cli.demo.neo4j_server import Neo4jServer
from tests.neo4j.rig import everything
from tests.servers import neo4j
from tests.servers.neo4j import PASSWORD, query

_PLANS = """aegis: v1
system: {{name: aegis, timezone: Asia/Seoul}}
state: {{authority: here}}
sites:
  seoul: {{role: primary, reach: local, file: ../site/seoul.yaml}}
stores:
  graph:
    engine: neo4j
    members:
      seoul-1:
        site: seoul
        connection: {connection}
        server: {{home: {home}, password: "${{file:PASSWORD}}", backup_by: {by}}}
    backup:
      repositories: [here]
      full: {{schedule: "0 3 * * *", retain: 7 days}}
repositories:
  here: {{kind: local, site: seoul, path: ../repository}}
"""


@dataclass
class Host:
    """A folder with documents, keys and a server."""

    folder: Path
    server: Neo4jServer

    def declare(self, by: str) -> None:
        (self.folder / "plans").mkdir(exist_ok=True)
        (self.folder / "password").write_text(PASSWORD)
        text = _PLANS.format(connection=self.server.connection, home=self.server.home, by=by)
        text = text.replace("PASSWORD", str(self.folder / "password"))
        (self.folder / "plans" / "system.yaml").write_text(text)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "aegis_plan", *words], cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def aegis(self, *words: str) -> str:
        process = self.start(*words)
        said, _ = process.communicate(timeout=900)
        assert process.returncode == 0, said
        return said

    def killed(self, when: Callable[[], bool], *words: str) -> str:
        """Runs a command and kills it and its worker without a word when something is so; gives its run."""
        before = set(self.runs())
        process = self.start(*words)
        until = time.monotonic() + 300
        while not when() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        assert process.poll() is None, process.communicate()[0]
        for pid in [*filter(ours, children(process.pid)), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()
        (run,) = set(self.runs()) - before
        return run

    def runs(self) -> list[str]:
        return [line.split()[0] for line in self.aegis("runs").splitlines() if line[:2] == "20"]

    @property
    def data(self) -> Path:
        return self.server.home / "data"


def ours(pid: int) -> bool:
    """Whether it is a process of the product, and no program that it started."""
    with contextlib.suppress(OSError):
        return "python" in (Path("/proc") / str(pid) / "comm").read_text()
    return False


def children(pid: int) -> list[int]:
    """Processes that stand below one; a server that goes on by itself does not."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found += [*children(int(entry.name)), int(entry.name)]
    return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    with neo4j.run(folder / "server") as server:
        made = Host(folder, server)
        made.declare("export")
        made.aegis("keys", "new", "seoul", "--documents", "plans/sealing.yaml")
        yield made


def note(host: Host) -> str:
    with contextlib.suppress(OSError):
        return (host.data / ".aegis-new" / ".aegis-restore.json").read_text()
    return ""


def records(host: Host) -> list[Path]:
    return list((host.folder / "repository").rglob("records/*.json"))


@pytest.mark.sweep(only=True)
@pytest.mark.timeout(900)
def test_an_export_that_is_killed_is_taken_again_and_leaves_nothing(host: Host) -> None:
    query(host.server, "UNWIND range(1, 20000) AS i CREATE (:Many {k: i, text: 'some text ' + i, at: datetime()})")
    sealed = host.folder / "repository"
    run = host.killed(lambda: any("/sets/" in str(path) for path in sealed.rglob("*")), "backup", "graph", "-y")
    assert records(host) == []
    host.aegis("resume", run)
    assert len(records(host)) == 1
    sets = {path.parent.name for path in sealed.rglob("sets/*/*") if path.is_file()}
    assert len(sets) == 1
    query(host.server, "MATCH (n:Many) DETACH DELETE n")


@pytest.mark.timeout(900)
def test_a_restore_that_is_killed_while_it_loads_goes_on_and_keeps_the_old_data(host: Host) -> None:
    query(host.server, "UNWIND range(1, 300) AS i CREATE (:N {k: i, at: datetime()})-[:R {i: i}]->(:M {k: -i})")
    query(host.server, "CREATE CONSTRAINT u FOR (n:N) REQUIRE n.k IS UNIQUE")
    before = everything(host.server)
    host.aegis("backup", "graph", "-y")
    had = len(records(host))
    query(host.server, "MATCH (n:M) DETACH DELETE n")
    after = everything(host.server)
    private = host.data / ".aegis-new" / "data" / "databases" / "neo4j"
    run = host.killed(private.is_dir, "restore", "graph", "-y")
    # Nothing that serves was touched until then.
    assert everything(host.server) == after
    said = host.aegis("resume", run)
    assert "the restored data is complete" in said, "what was lost is measured by the set's own time"
    assert everything(host.server) == before
    assert (host.data / f".aegis-old-{run}" / "databases" / "neo4j").is_dir()
    assert not (host.data / ".aegis-new").exists()
    assert len(records(host)) == had + 1, "a full of the restored data"


@pytest.mark.sweep(only=True)
@pytest.mark.timeout(900)
def test_a_restore_that_is_not_accepted_is_taken_back(host: Host) -> None:
    host.aegis("backup", "graph", "-y")
    query(host.server, "CREATE (:Later {k: 'later'})")
    before = everything(host.server)
    process = host.start("restore", "graph", "-y")
    staged = host.data / ".aegis-new" / "data" / "databases" / "neo4j"
    until = time.monotonic() + 600
    # Loaded and no longer staged: it is in its place, and the server has not been started yet.
    while not ('"loaded"' in note(host) and not staged.exists()) and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)
    # What comes up is not what was proved: an empty database, as where a disk was lost in between.
    for name in ("databases", "transactions"):
        (host.data / name / "neo4j").rename(host.folder / f"lost-{name}")
    said, _ = process.communicate(timeout=600)
    assert process.returncode != 0, said
    neo4j.wait(host.server)
    assert everything(host.server) == before
    assert not (host.data / ".aegis-new").exists()


@pytest.mark.sweep(only=True)
@pytest.mark.timeout(900)
def test_a_server_that_was_stopped_for_a_dump_comes_up_again_whoever_dies(host: Host, sweep: bool) -> None:
    host.declare("dump")
    before = everything(host.server)
    dumps = host.data / ".aegis-dump-graph"
    run = host.killed(lambda: any(dumps.glob("*.dump")), "backup", "graph", "-y")
    neo4j.wait(host.server)
    assert everything(host.server) == before
    if sweep:
        host.aegis("resume", run)
        neo4j.wait(host.server)
        assert everything(host.server) == before
        assert not dumps.exists()


@pytest.mark.timeout(900)
def test_a_server_whose_folder_of_data_is_gone_comes_back_with_its_login(host: Host) -> None:
    query(host.server, "MATCH (n) DETACH DELETE n")
    query(host.server, "UNWIND range(1, 50) AS i CREATE (:N {k: i})")
    before = everything(host.server)
    host.declare("export")
    host.aegis("backup", "graph", "-y", "--lock-timeout", "5m")
    host.server.stop()
    shutil.rmtree(host.data)
    said = host.aegis("restore", "graph", "-y")
    assert "neo4j-users-new" in said
    assert everything(host.server) == before
