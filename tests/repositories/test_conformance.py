"""The conformance suite of repositories, on a folder and on two S3 servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.repositories.retry import Retrying
from tests.conformance.repository import RepositoryConformance
from tests.servers.bucket import S3Server
from tests.servers.seaweedfs import seaweedfs
from tests.servers.versitygw import versitygw

__all__ = ["seaweedfs", "versitygw"]


class TestLocal(RepositoryConformance):
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Repository:
        return LocalRepository("folder", tmp_path / "repository")


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


class TestWithoutChecksums(RepositoryConformance):
    """A service of which only the oldest half of the protocol is asked."""

    @pytest.fixture
    def repository(self, versitygw: S3Server) -> Iterator[Repository]:
        made = Retrying(versitygw.repository(checksums="when_required"))
        yield made
        made.close()
