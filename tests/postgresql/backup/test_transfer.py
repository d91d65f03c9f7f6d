"""A server compresses what it sends where the documents ask for it: fewer bytes on the way, the very same set."""

from __future__ import annotations

import socket
import tempfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from aegis_plan.documents.model import Documents
from aegis_plan.errors import UnavailableError
from aegis_plan.stores.postgresql.basebackup import Source
from aegis_plan.stores.postgresql.manifest import Checker, parse
from aegis_plan.stores.postgresql.model import BackupParams
from aegis_plan.stores.postgresql.transfer import opened
from aegis_plan.stores.postgresql.unpack import Unpacker
from tests.postgresql.restore.rig import World
from tests.servers.postgresql import PASSWORD, Server, cluster


class Counter:
    """A way to a local port that counts what comes back."""

    def __init__(self, port: int) -> None:
        self.count, self._port = 0, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._port))
            for one, other, counts in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(one, other, counts), daemon=True).start()

    def _pump(self, source: socket.socket, goal: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                self.count += len(data) if counts else 0
                goal.sendall(data)
        except OSError:
            pass
        for end in (source, goal):
            end.close()


@pytest.fixture(scope="module", params=[15, 18])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with cluster(request.param) as made:
        made.sql("CREATE TABLE t AS SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g")
        made.major = request.param  # type: ignore[attr-defined]
        yield made


def taken(server: Server, how: str) -> tuple[dict[str, bytes], int, list[Any]]:
    """The archives of a backup, how many bytes came, and what was found."""
    way = Counter(server.port)
    with tempfile.TemporaryDirectory() as folder:
        here = World(Path(folder), server)  # type: ignore[arg-type] # asks no more of it than `sql`
        lineage = here.lineage.replace("-18", f"-{server.major}")  # type: ignore[attr-defined]
        member = {"site": "here", "connection": server.dsn().replace(f"port={server.port}", f"port={way.port}")}
        documents = Documents.model_validate(
            {
                "system": {"name": "aegis"},
                "stores": {
                    "db": {
                        "engine": "postgresql",
                        "members": {"a": member},
                        "backup": {"repositories": ["one"], "transfer_compression": how},
                    }
                },
            }
        )
        here.declared = lambda: documents  # type: ignore[method-assign]
        site: Any = here.site("backup", {})
        site.secrets.text = lambda value: f"{value} password={PASSWORD}"
        source = Source(site, BackupParams(store="db", member="a", lineage=lineage, method="full"))
        try:
            archives = {name: b"".join(chunks) for name, chunks in source.archives()}
            source.finish()
        finally:
            source.close()
        return archives, way.count, site.findings


def test_fewer_bytes_give_the_same_set(server: Server, tmp_path: Path) -> None:
    _, whole, _ = taken(server, "none")
    for how in ("gzip", "zstd"):
        archives, sent, findings = taken(server, how)
        if how == "gzip" or server.major == 15:  # type: ignore[attr-defined]
            assert not findings
            assert sent < whole / 3
        else:  # built without it
            assert [note.code for note in findings] == ["transfer-not-compressed"]
        folder = tmp_path / how
        for made in (folder / "root", folder / "spool"):
            made.mkdir(parents=True)
        checker = Checker(parse(archives["manifest"]))
        unpacker = Unpacker(folder / "root", folder / "spool", {}, None)
        unpacker.archive("base", iter([archives["base"]]), checker, incremental=False, tick=lambda _count: None)
        checker.finish()


@pytest.mark.parametrize("name", ["base.tar.zst", "base.tar.gz"])
def test_what_unfolds_far_comes_in_pieces_and_damage_is_told(name: str) -> None:
    plain = bytes(300 << 20)
    packed = zstandard.compress(plain, 1) if name.endswith("zst") else zlib.compress(plain, 1, wbits=31)
    assert len(packed) < len(plain) / 100
    label, chunks = opened(name, iter([packed]), "db/a")
    sizes = [len(piece) for piece in chunks]
    assert (label, sum(sizes)) == ("base.tar", len(plain))
    assert max(sizes) <= 1 << 20
    with pytest.raises(UnavailableError) as caught:
        list(opened(name, iter([b"\x28\xb5\x2f\xfd" + b"nonsense" * 9]), "db/a")[1])
    assert caught.value.code == "transfer-damaged"
