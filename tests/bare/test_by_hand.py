"""A PostgreSQL comes back by the runbook alone: the commands of the two pages, with a Python that has never heard of
this product, from a copy of a repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def stranger(folder: Path) -> dict[str, str]:
    """An environment whose `python3` has the three libraries and nothing else of this test's Python."""
    import cryptography

    packages, libraries = Path(cryptography.__file__).parent.parent, folder / "libraries"
    libraries.mkdir()
    for path in packages.iterdir():
        if path.name.split(".")[0].split("-")[0] in (*LIBRARIES, "_cffi_backend"):
            (libraries / path.name).symlink_to(path)
    programs = folder / "programs"
    programs.mkdir()
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{libraries}" exec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder), "KEY": str(folder / "key.age")}


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
    _run(script, folder, environment)
    runbook = (folder / "documents" / "runbook.md").read_text()
    assert str(made.repository("seoul")) in runbook, "the real places are named"
    try:
        _run("set -e\n" + "\n".join(commands(runbook)), folder, environment)
        assert server.sql("SELECT id, body FROM policies ORDER BY id") == rows
    finally:
        server.folder = folder
        data = folder / "data-policy-db"
        if data.exists():
            data.rename(folder / "data")
            server.end()
        shutil.rmtree(folder, ignore_errors=True)


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


def _set_of(path: Path) -> str:
    import json

    return str(json.loads(path.read_bytes())["record"]["set"])


def _run(script: str, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n---\n{done.stdout}"
