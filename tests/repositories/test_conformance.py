"""The conformance suite of repositories, on a folder, two S3 servers and Azurite; and what an account lacks there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_plan.documents.model import LocalRepository as LocalDeclared
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.limited import Limited
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.repositories.permissions import permissions
from aegis_plan.repositories.retry import Retrying
from aegis_plan.requirement import Requirement, exit_code
from tests.conformance.repository import RepositoryConformance
from tests.servers import ports
from tests.servers.azurite import AzureServer, azurite
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.seaweedfs import READER, seaweedfs
from tests.servers.versitygw import versitygw

__all__ = ["azurite", "seaweedfs", "versitygw"]


class TestLocal(RepositoryConformance):
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Repository:
        return LocalRepository("folder", tmp_path / "repository")


class TestLimited(RepositoryConformance):
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Repository:
        return Limited(LocalRepository("folder", tmp_path / "repository"), 1 << 30)


class TestVersityGW(RepositoryConformance):
    @pytest.fixture
    def repository(self, versitygw: S3Server) -> Iterator[Repository]:
        made = versitygw.repository()
        yield made
        made.close()


class TestSeaweedFS(RepositoryConformance):
    @pytest.fixture
    def repository(self, seaweedfs: S3Server) -> Iterator[Repository]:
        made = Retrying(seaweedfs.repository())
        yield made
        made.close()


class TestAzurite(RepositoryConformance):
    @pytest.fixture
    def repository(self, azurite: AzureServer) -> Iterator[Repository]:
        made = Retrying(azurite.repository())
        yield made
        made.close()


class TestWithoutChecksums(RepositoryConformance):
    """A service of which only the oldest half of the protocol is asked."""

    @pytest.fixture
    def repository(self, versitygw: S3Server) -> Iterator[Repository]:
        made = Retrying(versitygw.repository(checksums="when_required"))
        yield made
        made.close()


def asked(server: S3Server, prefix: str, *, write: bool, **more: object) -> dict[str, Requirement]:
    """Code to what an account lacks, with a prefix that shows what the check leaves behind."""
    declared = server.declared(BUCKET, prefix=prefix, **more)
    made = Retrying(server.repository(prefix=prefix, **more))
    try:
        return {one.code: one for one in permissions(made, declared, "aegis", "seoul", write=write)}
    finally:
        made.close()


@pytest.mark.parametrize("kind", ["versitygw", "seaweedfs", "azurite"])
def test_an_account_that_may_do_all(request: pytest.FixtureRequest, kind: str) -> None:
    server: S3Server = request.getfixturevalue(kind)
    looked = asked(server, f"may-all-{kind}", write=False)
    assert exit_code(looked.values()) == 0, looked
    assert looked["repository-delete-denied"].state == "could_not_verify", "nobody tried it"
    tried = asked(server, f"may-all-{kind}", write=True)
    assert {one.state for one in tried.values()} == {"ok"}, tried
    made = server.repository(prefix=f"may-all-{kind}")
    assert list(made.listing("")) == [], "neither look nor try leaves anything"
    made.close()


@pytest.mark.parametrize("write", [False, True])
def test_an_account_that_may_only_read(seaweedfs: S3Server, write: bool) -> None:
    keys = {"access_key": READER[0], "secret_key": READER[1]}
    found = asked(seaweedfs, "may-read", write=write, **keys)
    assert {code for code, one in found.items() if one.counts} == {"repository-put-denied"}, found
    put = found["repository-put-denied"]
    assert put.state == "missing"
    assert put.policy is not None
    actions = {action for statement in put.policy["Statement"] for action in statement["Action"]}
    assert {"s3:PutObject", "s3:GetObject", "s3:ListBucket"} <= actions
    assert READER[1] not in put.model_dump_json()


def test_an_account_that_is_none(versitygw: S3Server) -> None:
    found = asked(versitygw, "may-none", write=False, secret_key="another-secret")
    assert exit_code(found.values()) == 3
    assert all(one.state == "missing" for one in found.values() if one.counts), found


def test_a_bucket_that_does_not_answer_is_not_said_to_deny(versitygw: S3Server) -> None:
    (port,) = ports.free()
    found = asked(versitygw.at(port), "nobody", write=False)
    assert {one.state for one in found.values()} == {"could_not_verify"}
    assert exit_code(found.values()) == 1


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, code in (
        (tmp_path / "file", "repository-folder-denied"),
        (tmp_path / "a" / "b", "repository-folder-missing"),
    ):
        declared = LocalDeclared(kind="local", site="seoul", path=str(path))
        found = permissions(LocalRepository("folder", path), declared, "aegis", "seoul", write=False)
        assert [(one.code, one.state) for one in found] == [(code, "missing")]
        assert found[0].commands
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_folder_that_will_be_made(tmp_path: Path) -> None:
    path = tmp_path / "repository"
    declared = LocalDeclared(kind="local", site="seoul", path=str(path))
    found = permissions(LocalRepository("folder", path), declared, "aegis", "seoul", write=False)
    assert exit_code(found) == 0
    assert not path.exists()
    assert exit_code(permissions(LocalRepository("folder", path), declared, "aegis", "seoul", write=True)) == 0


def test_a_folder_that_is_a_link_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "repository"
    path.symlink_to(tmp_path / "gone")
    declared = LocalDeclared(kind="local", site="seoul", path=str(path))
    found = permissions(LocalRepository("folder", path), declared, "aegis", "seoul", write=False)
    assert [(one.code, one.state) for one in found] == [("repository-folder-missing", "missing")]
    assert f"a link to {tmp_path}/gone, which is not there" in found[0].detail
    (tmp_path / "gone").mkdir(mode=0o700)
    assert exit_code(permissions(LocalRepository("folder", path), declared, "aegis", "seoul", write=False)) == 0


def test_a_folder_whose_name_no_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 300)
    declared = LocalDeclared(kind="local", site="seoul", path=str(path))
    found = permissions(LocalRepository("folder", path), declared, "aegis", "seoul", write=False)
    assert [(one.code, one.state) for one in found] == [("repository-folder-denied", "could_not_verify")]
    assert "File name too long" in found[0].detail
    assert exit_code(found) == 1


@pytest.fixture
def without_inodes(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir(mode=0o700)
    options = "size=1m,nr_inodes=20,mode=700"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("only root may mount a file system of few inodes")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_without_inodes(without_inodes: Path) -> None:
    for path in (without_inodes, without_inodes / "repository"):
        declared = LocalDeclared(kind="local", site="seoul", path=str(path))
        found = permissions(LocalRepository("folder", path), declared, "aegis", "seoul", write=False)
        assert ("repository-full", "missing") in [(one.code, one.state) for one in found], path
        assert exit_code(found) == 3
