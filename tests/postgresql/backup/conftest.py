"""A server with a context for the backup tests: the site that the restore tests use, over a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.postgresql.restore.rig import World, world


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world("max_slot_wal_keep_size=1GB\n") as made:
        plain = made.declared

        def declared() -> Any:
            found = plain()
            body = found.model_dump(mode="json")
            body["stores"]["db"]["backup"] = {"repositories": ["one", "two"], "log": {"schedule": "*/15 * * * *"}}
            return type(found).model_validate(body)

        monkeypatch.setattr(made, "declared", declared)
        yield made
