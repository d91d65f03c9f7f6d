"""A Neo4j Community server of one's own, from its Maven artifacts: made, started, stopped. It touches only its folders.

Beside the libraries it gets the two programs that a package has, `bin/neo4j` and `bin/neo4j-admin`, as short shells.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aegis_plan.errors import AegisError

VERSION = "5.26.0"
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>aegis</groupId><artifactId>neo4j</artifactId><version>1</version><dependencies>
<dependency><groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>{version}</version></dependency>
<dependency><groupId>org.neo4j.app</groupId><artifactId>neo4j-server</artifactId><version>{version}</version></dependency>
</dependencies></project>
"""
_OPEN = " ".join(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("java.nio", "java.io", "sun.nio.ch"))
_QUICK = "${AEGIS_DEMO_JAVA:--XX:+UseSerialGC -XX:TieredStopAtLevel=1}"
"""Up sooner and slower after that, unless told otherwise."""
_JAVA = f"java {_QUICK} -Xms128m -Xmx512m {_OPEN} -cp 'LIB/*'"
_PROGRAM = """#!/bin/sh
# Starts, stops and queries the server of NEO4J_HOME, as the program of that name in a package does.
home="${NEO4J_HOME:-HOME}"; conf="${NEO4J_CONF:-$home/conf}"; note="$home/run/neo4j.pid"
running() { [ -f "$note" ] && kill -0 "$(cat "$note")" 2>/dev/null; }
case "$1" in
console) exec JAVA org.neo4j.server.CommunityEntryPoint --home-dir="$home" --config-dir="$conf" ;;
start)
  running && { echo "it runs already"; exit 0; }
  mkdir -p "$home/run" "$home/logs"
  nohup setsid JAVA org.neo4j.server.CommunityEntryPoint --home-dir="$home" --config-dir="$conf" \\
    >"$home/logs/console.log" 2>&1 </dev/null &
  echo $! >"$note" ;;
stop)
  running || exit 0
  kill "$(cat "$note")"
  while running; do sleep 0.1; done
  rm -f "$note" ;;
status) running || exit 3 ;;
esac
"""
_ADMIN = """#!/bin/sh
export NEO4J_HOME="${NEO4J_HOME:-HOME}"; export NEO4J_CONF="${NEO4J_CONF:-$NEO4J_HOME/conf}"
exec JAVA org.neo4j.cli.AdminTool "$@"
"""
_SETTINGS = """server.default_listen_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:{port}
server.http.enabled=false
dbms.usage_report.enabled=false
server.memory.heap.initial_size=128m
server.memory.heap.max_size=512m
server.memory.pagecache.size=64m
db.shutdown_transaction_end_timeout=0s
server.bolt.thread_pool_min_size=2
internal.server.bolt.thread_pool_shutdown_wait_time=0s
"""


def missing() -> str:
    """What this machine lacks to have one, or nothing."""
    return next((f"{name} is not installed" for name in ("java", "mvn") if shutil.which(name) is None), "")


def libraries(cache: Path) -> Path:
    """The folder of the server's libraries, fetched by Maven when they are not in the cache yet.

    Raises AegisError `demo-server-failed`."""
    folder = cache / f"neo4j-{VERSION}"
    if folder.is_dir():
        return folder
    fresh = cache / f"neo4j-{VERSION}.{os.getpid()}"
    fresh.mkdir(parents=True, exist_ok=True)
    (fresh / "pom.xml").write_text(_POM.format(version=VERSION))
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", "pom.xml", "dependency:copy-dependencies", "-DoutputDirectory=lib",
         "-DincludeScope=runtime"],
        cwd=fresh, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    if done.returncode:
        shutil.rmtree(fresh)
        raise AegisError(
            "demo-server-failed",
            "the demo's database server does not do what it should",
            f"Maven did not fetch Neo4j: {done.stdout.strip()[-300:]}",
            "try again with a connection to a Maven repository, or go without Neo4j",
        )
    if not folder.exists():
        (fresh / "lib").rename(folder)  # whoever was first has the same
    shutil.rmtree(fresh)
    return folder


@dataclass(frozen=True)
class Neo4jServer:
    """One server below `home`, on loopback."""

    home: Path
    port: int
    password: str

    @property
    def connection(self) -> str:
        return f"bolt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of its process, once it was started."""
        return int((self.home / "run" / "neo4j.pid").read_text())

    def create(self, lib: Path) -> None:
        """Writes programs and configuration, and sets the password."""
        java = _JAVA.replace("LIB", str(lib))
        for folder in ("bin", "conf", "logs", "run"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        for name, text in (("neo4j", _PROGRAM), ("neo4j-admin", _ADMIN)):
            path = self.home / "bin" / name
            path.write_text(text.replace("JAVA", java).replace(":-HOME", f":-{self.home}"))
            path.chmod(0o755)
        (self.home / "conf" / "neo4j.conf").write_text(_SETTINGS.format(port=self.port))
        self.run("neo4j-admin", "dbms", "set-initial-password", self.password)

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of its programs. Raises AegisError `demo-server-failed`."""
        done = subprocess.run(
            [str(self.home / "bin" / program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode:
            raise AegisError(
                "demo-server-failed",
                "the demo's database server does not do what it should",
                f"{program}: {(done.stderr or done.stdout).strip()[-300:]}",
                f"its own log is {self.home}/logs/neo4j.log",
            )

    def start(self) -> None:
        """Starts it; it answers some seconds later."""
        self.run("neo4j", "start")

    def stop(self) -> None:
        self.run("neo4j", "stop")
