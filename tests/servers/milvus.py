"""The full Milvus server, standalone, from the PyPI package `milvus`. Its own starter is not used: it looks for ports
one after the other from fixed numbers, and unpacks 250 MB for each server anew."""

from __future__ import annotations

import fcntl
import importlib.util
import lzma
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymilvus import MilvusClient

from tests.servers import ports, unavailable

TOKEN = "root:Milvus"
"""The login that a new server has."""
_PORT = re.compile(r"\{\{ (\w+_port)\(int\): \d+ \}\}")
_VALUE = re.compile(r"\{\{ (\w+)(?:\(\w+\))?(?:: ([^}]*))? \}\}")


@dataclass(frozen=True)
class MilvusServer:
    """A running server with its logins switched on."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, database: str = "default") -> MilvusClient:
        return MilvusClient(self.address, token=TOKEN, db_name=database)


def _unpacked() -> tuple[Path, Path]:
    """The program, unpacked once for a user, and the template of its configuration."""
    found = importlib.util.find_spec("milvus")
    if found is None or not found.submodule_search_locations:
        unavailable("the package 'milvus' is not installed")
    data = Path(found.submodule_search_locations[0]) / "data"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aegis-tests"
    cache.mkdir(parents=True, exist_ok=True)
    programs = cache / "milvus-2.3.5"
    with (cache / "milvus.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not programs.is_dir():
            fresh = Path(tempfile.mkdtemp(dir=cache))
            for packed in (data / "bin").glob("*.lzma"):
                with lzma.open(packed) as source, (fresh / packed.stem).open("wb") as target:
                    shutil.copyfileobj(source, target)
                (fresh / packed.stem).chmod(0o755)
            fresh.rename(programs)
    return programs, data


def _configuration(template: str, folder: Path) -> tuple[str, int]:
    """The configuration, and the port that clients use."""
    names = _PORT.findall(template)
    numbers = dict(zip(names, ports.free(len(names)), strict=True))
    values = {
        **{name: str(number) for name, number in numbers.items()},
        "etcd_log_level": "error",
        "etcd_log_path": str(folder / "etcd.log"),
        "etcd_data_dir": str(folder / "etcd"),
        "local_storage_dir": str(folder / "storage"),
        "rocksmq_data_dir": str(folder / "rocksmq"),
        "system_log_path": str(folder / "logs"),
        "authorization_enabled": "true",
    }
    text = _VALUE.sub(lambda found: values.get(found.group(1), (found.group(2) or "").strip()), template)
    (client, peer) = (f"http://127.0.0.1:{port}" for port in (numbers["etcd_port"], *ports.free(1)))
    (folder / "etcd.yaml").write_text(f"""\
listen-client-urls: {client}
advertise-client-urls: {client}
listen-peer-urls: {peer}
initial-advertise-peer-urls: {peer}
initial-cluster: default={peer}
data-dir: {folder / "etcd"}
log-level: error
log-outputs: [{folder / "etcd.log"}]
""")
    text = text.replace(
        "  use:\n    embed: true", f"  config:\n    path: {folder / 'etcd.yaml'}\n  use:\n    embed: true"
    )
    # Its parts find each other by this address; they listen on all of them.
    return text.replace("  ip: #", "  ip: 127.0.0.1 #"), numbers["proxy_port"]


@contextmanager
def run() -> Iterator[MilvusServer]:
    """The server for the length of the block; about five seconds to start, 400 MB."""
    programs, data = _unpacked()
    folder = Path(tempfile.mkdtemp(prefix="milvus-"))
    (folder / "configs").mkdir()
    text, port = _configuration((data / "config.yaml.template").read_text(), folder)
    (folder / "configs" / "milvus.yaml").write_text(text)
    shutil.copy(data / "glog.conf", folder / "configs")
    (health,) = ports.free(1)
    environment = {
        **os.environ,
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": str(health),
        "LD_LIBRARY_PATH": str(programs),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(programs / "milvus"), "run", "standalone", "-alias", folder.name],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
        )
    try:
        _ready(process, health)
        yield MilvusServer(port, folder, process)
    finally:
        # What it would write at its end is of no use to anybody.
        process.kill()
        process.wait()
        for place in ("/run/milvus", "/tmp/milvus"):
            Path(place, f"standalone-{folder.name}.pid").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _ready(process: subprocess.Popen[bytes], health: int, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{health}/healthz", timeout=5) as answer:
                if b"OK" in answer.read():
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"it is not well after {seconds} s")
