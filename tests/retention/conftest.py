"""One system for the tests of retention, whose backups are kept for a moment only."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.thread.world import World, world

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
def short() -> Iterator[World]:
    """A running server with two local repositories; nothing is backed up yet."""
    with world() as made:
        kept_for_a_moment(made)
        yield made
