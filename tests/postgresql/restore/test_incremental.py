"""Increments applied forwards give byte for byte what PostgreSQL's own tool makes of the chain."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import World, binaries, run, user, world

from aegis_plan.errors import DamageError
from aegis_plan.stores.postgresql.incremental import MAGIC, patch, strip_label
from aegis_plan.stores.postgresql.manifest import Checker, parse
from aegis_plan.stores.postgresql.unpack import Unpacker

REWRITTEN = {"backup_manifest", "tablespace_map"}
"""What the other tool writes anew or we leave out."""


def forwards(folders: list[Path], goal: Path) -> None:
    """Unpacks a chain with our own code."""
    goal.mkdir()
    spool = goal.with_name(goal.name + ".wal")
    spool.mkdir()
    unpacker = Unpacker(root=goal, spool=spool, tablespaces={}, ids=None)
    for number, folder in enumerate(folders):
        checker = Checker(parse((folder / "backup_manifest").read_bytes()))
        unpacker.begin_set()
        with (folder / "base.tar").open("rb") as stream:
            # Odd sizes, so that headers and blocks are cut anywhere.
            chunks = iter(lambda stream=stream: stream.read(77_777), b"")
            unpacker.archive("base", chunks, checker, incremental=number > 0, tick=lambda _count: None)
        checker.finish()
        unpacker.end_set()
    strip_label(goal / "backup_label")


def tree(root: Path) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name not in REWRITTEN and not name.startswith("pg_wal/"):
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def change(w: World, dice: random.Random) -> None:
    """Something that a database does to its files."""
    sql = w.cluster.sql
    name = f"t{dice.randrange(4)}"
    kind = dice.randrange(9)
    if kind <= 1:
        sql(
            f"insert into {name} select g, repeat('y', {dice.randrange(900)})"
            f" from generate_series(1, {dice.randrange(3000)}) g"
        )
    elif kind == 2:
        sql(f"update {name} set v = v || 'z' where i % {dice.randrange(2, 400)} = 0")
    elif kind == 3:
        sql(f"delete from {name} where i > {dice.randrange(1500)}")
        sql(f"vacuum {name}")
    elif kind == 4:
        sql(f"truncate {name}")
    elif kind == 5:
        sql(f"drop table {name}; create table {name}(i int, v text)")
    elif kind == 6:
        sql(f"vacuum full {name}")
    elif kind == 7:
        sql(f"create index on {name}(i)")
    else:
        base = f"d{dice.randrange(2)}"
        sql(f"drop database if exists {base}")
        if dice.random() < 0.6:
            sql(f"create database {base} strategy {dice.choice(['wal_log', 'file_copy'])}")


@pytest.mark.parametrize("seed", range(2))
def test_a_chain_is_byte_for_byte_what_the_servers_own_tool_makes(seed: int) -> None:
    dice = random.Random(seed)
    with world() as w:
        for number in range(4):
            w.cluster.sql(
                f"create table t{number}(i int, v text); insert into t{number} select g from generate_series(1, 900) g"
            )
        folders = [w.backup()]
        for length in range(1, 4):
            for _ in range(dice.randrange(1, 6)):
                change(w, dice)
            folders.append(w.backup(folders[-1]))
            plain = []
            for folder in folders:
                out = w.base / f"plain-{length}-{folder.name}"
                out.mkdir()
                subprocess.run(["tar", "-x", "-f", folder / "base.tar", "-C", out], check=True)
                shutil.copy(folder / "backup_manifest", out)
                if name := user():
                    run_as_owner(out, name)
                plain.append(out)
            theirs = w.base / "pg" / f"theirs{length}"
            run(binaries() / "pg_combinebackup", "--no-sync", *plain, "-o", theirs)
            forwards(folders, w.base / f"ours{length}")
            assert tree(w.base / f"ours{length}") == tree(theirs)


def run_as_owner(root: Path, name: str) -> None:
    for path in [root, *root.rglob("*")]:
        shutil.chown(path, name)


class Bytes:
    name = "INCREMENTAL.1"

    def __init__(self, data: bytes) -> None:
        self.data, self.left = data, len(data)

    def read(self, size: int) -> bytes:
        if size > self.left:
            raise DamageError("archive-cut", "cut")
        piece, self.data = self.data[:size], self.data[size:]
        self.left -= size
        return piece


@settings(max_examples=60, deadline=None)
@given(
    old=st.integers(0, 12),
    length=st.integers(0, 12),
    numbers=st.lists(st.integers(0, 15), unique=True, max_size=10),
)
def test_truncation_extension_and_holes(
    tmp_path_factory: pytest.TempPathFactory, old: int, length: int, numbers: list[int]
) -> None:
    size = 512
    path = tmp_path_factory.mktemp("relation") / "1"
    before = [bytes([1, index]) * (size // 2) for index in range(old)]
    path.write_bytes(b"".join(before))
    header = struct.pack(f"<III{len(numbers)}I", MAGIC, len(numbers), length, *numbers)
    pad = b"\0" * (-len(header) % size) if numbers else b""
    patch(path, Bytes(header + pad + b"".join(bytes([2, number]) * (size // 2) for number in numbers)), size)
    blocks = max([length, *(number + 1 for number in numbers)])
    for index in range(blocks):
        block = path.read_bytes()[index * size : (index + 1) * size]
        if index in numbers:
            assert block == bytes([2, index]) * (size // 2)
        elif index < min(old, length):
            assert block == before[index]
        else:
            assert block == bytes(size)
    assert path.stat().st_size == blocks * size


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<III", 1, 0, 0),
        struct.pack("<III", MAGIC, 1, 0) + struct.pack("<I", 0),
        struct.pack("<III", MAGIC, 0, 0) + b"more",
        struct.pack("<III", MAGIC, 0xFFFFFFFF, 0),
        b"",
    ],
)
def test_nonsense_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "1"
    path.write_bytes(b"x" * 512)
    with pytest.raises(DamageError):
        patch(path, Bytes(data), 512)
