"""One full server for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.milvus import MilvusServer, run


@pytest.fixture(scope="module")
def server() -> Iterator[MilvusServer]:
    with run() as started:
        yield started
