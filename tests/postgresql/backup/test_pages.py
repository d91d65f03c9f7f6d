"""Chains by the hashes of pages give back every file as it was, whatever became of it in between."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis_plan.errors import DamageError
from aegis_plan.stores.postgresql.manifest import Checker, Entry, Manifest, spell
from aegis_plan.stores.postgresql.pages import BATCH, HASH, Pages, read_pages, reduced
from aegis_plan.stores.postgresql.proof import Proof
from aegis_plan.stores.postgresql.unpack import Unpacker

SIZE = 512
"""Bytes of a page here: small, so that a file of more than one batch is."""
Tree = dict[str, bytes]
NAMES = ["base/5/100", "base/5/100_fsm", "base/5/100.1", "base/5/200", "global/1213", "global/pg_control",
         "base/5/PG_VERSION", "PG_VERSION", "pg_xact/0000", "base/5/pg_filenode.map"]  # fmt: skip
SPACE = ["PG_18/5/300", "PG_18/5/300_vm", "PG_18/5/301"]


def tar(tree: Tree) -> bytes:
    """An archive as the server writes it, folders first."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        folders = sorted({str(above) for path in tree for above in Path(path).parents if str(above) != "."})
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o700
            archive.addfile(entry)
        for path, data in tree.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return body.getvalue()


def cut(data: bytes, dice: random.Random) -> Iterator[bytes]:
    """In pieces of any size."""
    at = 0
    while at < len(data):
        size = dice.choice([1, 100, 511, 512, 513, 4096, 70_000])
        yield data[at : at + size]
        at += size


def manifest(base: Tree, space: Tree) -> Manifest:
    files = {**base, **{f"pg_tblspc/7/{path}": data for path, data in space.items()}}
    return Manifest({path: Entry(len(data), spell(google_crc32c.value(data))) for path, data in files.items()}, "1")


def files(root: Path) -> Tree:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def page(dice: random.Random) -> bytes:
    return dice.choice([bytes(SIZE), bytes([dice.randrange(256)]) * SIZE, dice.randbytes(SIZE)])


def changed(tree: Tree, names: list[str], dice: random.Random) -> Tree:
    """What a database does to its files: pages written, grown, cut, dropped, made, put back to what they were."""
    after = dict(tree)
    for name in names:
        kind, data = dice.randrange(9), after.get(name)
        if data is None:
            if kind < 4:
                after[name] = b"".join(page(dice) for _ in range(dice.choice([0, 1, 3, BATCH - 1, BATCH, BATCH + 2])))
        elif kind == 0:
            del after[name]
        elif kind == 1:
            after[name] = data[: dice.randrange(len(data) // SIZE + 1) * SIZE]
        elif kind == 2:
            after[name] = data + b"".join(page(dice) for _ in range(dice.randrange(1, 5)))
        elif kind == 3:
            after[name] = data + b"torn"
        elif kind == 4:
            after[name] = data[: len(data) // SIZE * SIZE]
        elif kind < 8:
            edited = bytearray(data)
            for _ in range(dice.randrange(4)):
                if count := len(edited) // SIZE:
                    at = dice.choice([0, count - 1, dice.randrange(count)]) * SIZE
                    edited[at : at + SIZE] = page(dice)
            after[name] = bytes(edited)
    items = list(after.items())
    dice.shuffle(items)  # a server sends files in whatever order its folder has them
    return dict(items)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), length=st.integers(2, 5))
def test_a_chain_gives_back_every_file(tmp_path_factory: pytest.TempPathFactory, seed: int, length: int) -> None:
    dice, folder = random.Random(seed), tmp_path_factory.mktemp("chain")
    base, space = changed({}, NAMES, dice), changed({}, SPACE, dice)
    for name in ("root", "space", "spool", "none"):
        (folder / name).mkdir()
    unpacker = Unpacker(folder / "root", folder / "spool", {"7": folder / "space"}, None, block_size=SIZE)
    proof = Proof(folder / "none", folder / "spool", {"7": folder / "none"}, None, block_size=SIZE)
    before: Pages | None = None
    for number in range(length):
        now = Pages(folder, SIZE)
        stored = {
            name: b"".join(reduced(cut(tar(tree), dice), name, before, now))
            for name, tree in (("base", base), ("7", space))
        }
        before = read_pages(cut(b"".join(now.chunks()), dice), folder)
        assert len(before) == len(now)
        checker = Checker(manifest(base, space), by_pages=number > 0)
        unpacker.begin_set()
        for name, data in stored.items():
            unpacker.archive(name, cut(data, dice), checker, incremental=number > 0, tick=lambda _count: None)
        checker.finish()
        unpacker.end_set()
        unpacker.hold_rebuilt(checker, lambda _count: None)
        assert files(folder / "root") == base
        assert files(folder / "space") == space
        # Read without writing, as before old data is given up.
        checker = Checker(manifest(base, space), by_pages=number > 0)
        proof.begin_set()
        for name, data in stored.items():
            proof.archive(name, cut(data, dice), checker, incremental=number > 0, tick=lambda _count: None)
        checker.finish()
        base, space = changed(base, NAMES, dice), changed(space, SPACE, dice)


def test_only_changed_pages_are_stored_and_a_wrong_page_is_found(tmp_path: Path) -> None:
    dice = random.Random(1)
    data = dice.randbytes(3 * BATCH * SIZE)
    later = bytearray(data)
    later[700 * SIZE] ^= 1
    first, second = Pages(tmp_path, SIZE), Pages(tmp_path, SIZE)
    full = b"".join(reduced(iter([tar({"base/5/1": data})]), "base", None, first))
    assert full == tar({"base/5/1": data})
    stored = b"".join(reduced(iter([tar({"base/5/1": bytes(later)})]), "base", first, second))
    assert len(stored) < len(full) / 20
    assert bytes(later[700 * SIZE : 701 * SIZE]) in stored
    for name in ("root", "spool"):
        (tmp_path / name).mkdir()
    unpacker = Unpacker(tmp_path / "root", tmp_path / "spool", {}, None, block_size=SIZE)
    known = manifest({"base/5/1": data}, {})
    unpacker.begin_set()
    unpacker.archive("base", iter([full]), Checker(known), incremental=False, tick=lambda _count: None)
    path = tmp_path / "root/base/5/1"
    wrong = bytearray(path.read_bytes())
    wrong[5] ^= 1
    path.write_bytes(wrong)
    checker = Checker(manifest({"base/5/1": bytes(later)}, {}), by_pages=True)
    unpacker.begin_set()
    unpacker.archive("base", iter([stored]), checker, incremental=True, tick=lambda _count: None)
    checker.finish()
    with pytest.raises(DamageError) as caught:
        unpacker.hold_rebuilt(checker, lambda _count: None)
    assert caught.value.code == "file-differs"


@pytest.mark.parametrize(
    "data", [b"", b"short", bytes(12), b"AEGPAGE1" + bytes(4) + b"\5\0\1\0\0\0base/" + bytes(HASH - 1)]
)
def test_hashes_that_are_cut_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DamageError) as caught:
        read_pages(iter([data] if data else []), tmp_path)
    assert caught.value.code == "pages-damaged"
