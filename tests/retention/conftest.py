"""One system for the tests of retention, and documents that keep nothing for longer than a moment."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest

from aegis_plan.repositories.s3 import S3Repository
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.versitygw import versitygw
from tests.thread.world import World, world

__all__ = ["versitygw"]

PLACE = "  busan: {kind: local, site: seoul, path: ../repositories/busan}"

SHORT = """\
      full: {schedule: "0 0 1 1 *", retain: 1s}
      incremental: {schedule: "0 0 1 1 *", retain: 1s}
      log: {schedule: "0 0 1 1 *", retain: 1s}
      retention: {minimum_fulls: 1, grace: 1h}
"""


def kept_for_a_moment(made: World) -> None:
    """Says in the documents that nothing is kept but what has to be."""
    path = made.plans / "aegis.yaml"
    text = re.sub(r"      full: .*\n      incremental: .*\n      log: .*\n", SHORT, path.read_text())
    assert "minimum_fulls" in text
    path.write_text(text)


@pytest.fixture(scope="module")
def system(versitygw: S3Server) -> Iterator[World]:
    """A running server with a folder `seoul` and a bucket `busan`; nothing is backed up yet."""
    versitygw.make_bucket()
    with world() as made:
        path = made.plans / "aegis.yaml"
        bucket = (
            f"  busan: {{kind: s3, bucket: {BUCKET}, prefix: {uuid.uuid4().hex[:8]}, region: us-east-1,"
            f' endpoint: "{versitygw.endpoint}", path_style: true,'
            ' access_key: "${env:BUSAN_KEY}", secret_key: "${env:BUSAN_SECRET}"}'
        )
        text = path.read_text()
        assert PLACE in text
        path.write_text(text.replace(PLACE, bucket))
        made.environment |= {"BUSAN_KEY": versitygw.access, "BUSAN_SECRET": versitygw.secret}
        yield made


@pytest.fixture(scope="module")
def busan(system: World, versitygw: S3Server) -> Iterator[S3Repository]:
    """The bucket, as the product sees it."""
    prefix = re.search(r"prefix: (\w+)", (system.plans / "aegis.yaml").read_text())
    assert prefix
    made = versitygw.repository(prefix.group(1))
    yield made
    made.close()
