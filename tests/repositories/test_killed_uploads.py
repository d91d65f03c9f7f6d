"""SIGKILL in the midst of an upload, then go on: nothing that was begun shows, nothing is lost, and what is left behind
is found by its age and by no record naming it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_plan.repositories.build import build
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.leftover import leftovers
from tests.servers.azurite import AzureServer, azurite
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.versitygw import versitygw

__all__ = ["azurite", "versitygw"]

ROOT = "v1/s/stores/x/l/sets/r-F1/"
PART = os.urandom(1 << 20)

CHILD = """
import json, sys
from pydantic import TypeAdapter
from aegis_plan.documents.model import Repository
from aegis_plan.repositories.build import build
repository = build("far", TypeAdapter(Repository).validate_python(json.loads(sys.argv[1])), lambda text: text)
repository.put(sys.argv[2] + "config", b"small and whole")
upload = repository.open(sys.argv[2] + "base.000")
part = sys.stdin.buffer.read(1 << 20)
for _ in range(1000):
    upload.write(part)
    print("sent", flush=True)
"""


@pytest.fixture(params=["local", "s3", "azure"])
def declared(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    prefix = f"killed-{os.urandom(4).hex()}"
    if request.param == "local":
        from aegis_plan.documents.model import LocalRepository

        return LocalRepository(kind="local", site="seoul", path=str(tmp_path / "repository"))
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("versitygw")
        return server.declared(BUCKET, prefix=prefix)
    azure: AzureServer = request.getfixturevalue("azurite")
    return azure.declared(prefix=prefix)


@pytest.fixture
def repository(declared: Any) -> Iterator[Repository]:
    made = build("far", declared, lambda text: text)
    yield made
    made.close()


def killed_after(declared: Any, parts: int) -> None:
    """A process that uploads, ended by SIGKILL once it sent so many mebibytes."""
    form = json.dumps(declared.model_dump(mode="json", exclude_none=True))
    words = [sys.executable, "-c", CHILD, form, ROOT]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(PART)
    child.stdin.close()
    for _ in range(parts):
        assert child.stdout.readline() == b"sent\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


def found(repository: Repository, age: timedelta) -> list[str]:
    now = datetime.now(UTC) + timedelta(seconds=10)
    return [one.key for one in leftovers(repository, "s", "x", (), now, age)]


def test_a_killed_upload(declared: Any, repository: Repository) -> None:
    killed_after(declared, 17)
    assert repository.head(f"{ROOT}base.000") is None
    assert [one.key for one in repository.listing(ROOT)] == [f"{ROOT}config"]
    # Another process goes on with the same names, and finishes.
    data = PART * 12
    upload = repository.open(f"{ROOT}base.000")
    upload.write(data)
    upload.commit(hashlib.sha256(data).hexdigest())
    assert read(repository, f"{ROOT}base.000") == data
    # No record names either: old enough, they are leftovers; young ones may be of a backup that runs.
    assert found(repository, timedelta(hours=1)) == []
    assert found(repository, timedelta(0)) == [f"{ROOT}base.000", f"{ROOT}config"]


def test_what_a_killed_upload_left_is_swept_by_age(declared: Any, repository: Repository) -> None:
    killed_after(declared, 17)
    assert repository.sweep("", 3600) == []
    assert len(repository.sweep("", -5)) == 1
    assert repository.sweep("", -5) == []
    assert [one.key for one in repository.listing(ROOT)] == [f"{ROOT}config"]


def test_one_that_runs_is_not_swept_though_it_began_long_ago(repository: Repository) -> None:
    upload = repository.open("v1/slow")
    upload.write(PART * 12)
    between = time.time() + 2.0
    time.sleep(4.0)
    upload.write(PART * 24)
    assert repository.sweep("", time.time() - between) == []
    upload.commit(hashlib.sha256(PART * 36).hexdigest())
    assert read(repository, "v1/slow") == PART * 36
