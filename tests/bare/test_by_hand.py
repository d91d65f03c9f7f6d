"""A PostgreSQL comes back by the runbook alone: the commands of the two pages, with a Python that has never heard of
this product, from a copy of a repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis_plan.stores.postgresql.pages import NAME as PAGES
from tests.servers.postgresql import Server, free_port
from tests.thread.world import World, world

LIBRARIES = ("cryptography", "cffi", "pyrage", "zstandard", "pycparser")


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    with world() as found:
        found.ok("apply", "-y")
        found.insert(200, "second")
        found.ok("backup", "policy-db", "--incremental", "-y")
        found.insert(300, "third")
        found.ok("publish", "--wheels", "none", "-y")
        found.ok("backup", "policy-db", "--log", "-y")
        yield found


def stranger(folder: Path, *, clients: bool = False) -> dict[str, str]:
    """An environment whose `python3` has the three libraries and nothing else of this test's Python; with `clients`
    all of it but the product."""
    import cryptography

    packages, libraries = Path(cryptography.__file__).parent.parent, folder / "libraries"
    libraries.mkdir()
    for path in packages.iterdir():
        if path.name.split(".")[0].split("-")[0] in (*LIBRARIES, "_cffi_backend") or (
            clients and "aegis" not in path.name
        ):
            (libraries / path.name).symlink_to(path)
    programs = folder / "programs"
    programs.mkdir()
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{libraries}" exec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder), "KEY": str(folder / "key.age")}


def section(page: str, store: str) -> str:
    """What a runbook says of one store."""
    return page.partition(f"## Store {store}\n")[2].partition("\n## ")[0]


def commands(page: str) -> list[str]:
    """The blocks that a person would paste, without the one that installs libraries."""
    return [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "pip install" not in block]


def test_by_the_runbook_alone(made: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = made.rows()
    made.destroy()
    folder = made.server.folder.parent / "by hand"
    folder.mkdir()
    folder.chmod(0o755)
    environment = stranger(folder)
    shutil.copy(made.folder / "site/keys/recovery.age", folder / "key.age")
    shutil.copytree(made.repository("busan"), folder / "repository")
    check = subprocess.run(
        ["python3", "-c", "import aegis_plan"], cwd=folder, env=environment, capture_output=True, check=False
    )
    assert check.returncode != 0, "this Python knows the product"
    (start,) = (folder / "repository").rglob("START-HERE.md")
    server = Server(made.server.folder, made.server.binaries, made.server.user, port=free_port())
    environment["PORT"] = str(server.port)
    script = "set -e\n" + "\n".join(commands(start.read_text()))
    run(script, folder, environment)
    runbook = (folder / "documents" / "runbook.md").read_text()
    assert str(made.repository("seoul")) in runbook, "the real places are named"
    try:
        run("set -e\n" + "\n".join(commands(runbook)), folder, environment)
        assert server.sql("SELECT id, body FROM policies ORDER BY id") == rows
    finally:
        server.folder = folder
        data = folder / "data-policy-db"
        if data.exists():
            data.rename(folder / "data")
            server.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_it_takes_the_half_of_a_key_that_an_object_is_sealed_with() -> None:
    """A full of a server without incrementals of its own has hashes of its pages, which hosts may open too."""
    from aegis_plan.repositories import keys
    from aegis_plan.standalone import unseal

    assert unseal.FOR_HOSTS == keys.FOR_HOSTS
    assert keys.for_hosts(f"{PAGES}.000")


def test_a_forged_record_is_not_unsealed(made: World, tmp_path: Path) -> None:
    environment = stranger(tmp_path)
    shutil.copytree(made.repository("busan"), tmp_path / "repository")
    key = made.folder / "site/keys/recovery.age"
    (program,) = (tmp_path / "repository").rglob("unseal.py")
    for path in (tmp_path / "repository").rglob("records/*.json"):
        path.write_bytes(path.read_bytes().replace(b'"method":"full"', b'"method":"fulL"'))

    def unseal(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["python3", str(program), *words], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    (full, *_) = [path for path in (tmp_path / "repository").rglob("records/*.json") if b"fulL" in path.read_bytes()]
    ran = unseal("set", "repository", "policy-db", "out", "--key", str(key), "--set", _set_of(full))
    assert ran.returncode == 1
    assert "there is no set" in ran.stderr
    assert "signed by nobody who is trusted" in ran.stderr
    other = tmp_path / "other.age"
    from aegis_plan.sealing.keys import new_identity

    other.write_text(new_identity()[0])
    ran = unseal("documents", "repository", "out", "--key", str(other))
    assert (ran.returncode, "nobody is trusted" in ran.stderr) == (1, True), ran.stderr
    ran = unseal("documents", "repository", "out", "--key", str(other), "--unverified")
    assert (ran.returncode, "the key does not open" in ran.stderr) == (1, True), ran.stderr


def test_a_rogue_writer_neither_misleads_nor_stops_it(made: World, tmp_path: Path) -> None:
    """Records of another store, a key that opens to nothing of use, and rubbish in each place."""
    import base64

    import pyrage

    environment = stranger(tmp_path)
    shutil.copytree(made.repository("busan"), tmp_path / "repository")
    key = made.folder / "site/keys/recovery.age"
    (program,) = (tmp_path / "repository").rglob("unseal.py")
    (store,) = (tmp_path / "repository").glob("v1/*/stores/policy-db")
    shutil.copytree(store, store.with_name("other-db"))
    for folder in ("records", "keys"):
        for where in store.glob(f"*/{folder}"):
            (where / "9999.0001.json").write_bytes(b"\xff{")
    (publications,) = (tmp_path / "repository").glob("v1/*/_system/publications")
    (publications / "00000099.json").write_bytes(b"[[")
    (publications / "00000098.json").write_bytes(b'{"publication": {"vouchers": 5}, "signature": ""}')
    recipient = pyrage.x25519.Identity.from_str(re.findall("AGE-SECRET-KEY-1[0-9A-Z]+", key.read_text())[0]).to_public()
    for path in list(store.glob("*/keys/*.0001.json")):
        if path.stem == "9999.0001":
            continue
        evil = json.loads(path.read_bytes())
        evil["key"]["generation"] = 9
        for half in ("data", "meta"):
            evil["key"][half]["age"] = base64.b64encode(pyrage.encrypt(b"k" * 32, [recipient])).decode()
        path.with_name(path.name.replace(".0001.", ".0009.")).write_text(json.dumps(evil))

    def unseal(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["python3", str(program), *words, "--key", str(key)], cwd=tmp_path, env=environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip

    ran = unseal("set", "repository", "other-db", "other")
    assert (ran.returncode, "signed for another place" in ran.stderr) == (1, True), ran.stderr
    ran = unseal("set", "repository", "policy-db", "out")
    assert ran.returncode == 0, ran.stderr
    assert "is not used" in ran.stderr
    ran = unseal("log", "repository", "policy-db", "log")
    assert ran.returncode == 0, ran.stderr
    ends = [
        json.loads(path.read_bytes())["record"] for path in store.glob("*/records/*.json") if path.stem != "9999.0001"
    ]
    ranges = sorted((one for one in ends if one["kind"] == "log" and not one["details"].get("history")), key=_end)
    lost = tmp_path / "repository" / ranges[-1]["objects"][0]["key"]
    lost.chmod(0o600)
    lost.write_bytes(lost.read_bytes()[:-1] + b"!")
    ran = unseal("log", "repository", "policy-db", "damaged")
    assert "is damaged" in ran.stderr, ran.stderr
    assert "Traceback" not in ran.stderr


def test_log_that_is_missing_is_told() -> None:
    from aegis_plan.standalone.unseal import gaps

    assert gaps({1: [(0, 5), (5, 9)], 2: [(7, 9), (8, 12)]}, 1, 3) == []
    assert gaps({1: [(0, 2), (3, 9)]}, 1, 3) == [], "the set brings its own log"
    assert gaps({1: [(4, 9)]}, 1, 3) == ["timeline 1 from 0/3 to 0/4"]
    assert gaps({1: [(0, 5), (6, 9)]}, 1, 3) == ["timeline 1 from 0/5 to 0/6"]


def _end(record: Any) -> tuple[str, int]:
    timeline, high, low = record["end"].split("/")
    return timeline, (int(high, 16) << 32) + int(low, 16)


def _set_of(path: Path) -> str:
    return str(json.loads(path.read_bytes())["record"]["set"])


def run(script: str, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n---\n{done.stdout}"
