"""Fixtures of the tests that go through the product's own commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.thread.world import World, world


@pytest.fixture
def bare() -> Iterator[World]:
    """A running server, documents and keys; no backup yet."""
    with world() as made:
        yield made


@pytest.fixture
def protected(bare: World) -> World:
    """The same, protected: slot, full and log."""
    bare.ok("apply", "-y")
    return bare
