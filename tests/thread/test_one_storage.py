"""Two repositories that are one storage under two names: its only copies are not cleaned up."""

from __future__ import annotations

import os

from tests.thread.beside import rows_beside
from tests.thread.world import world


def test_a_copy_is_not_removed_from_the_storage_that_keeps_it() -> None:
    with world() as made:
        made.repository("seoul").mkdir()
        os.symlink(made.repository("seoul"), made.repository("busan"))
        path = made.plans / "aegis.yaml"
        text = path.read_text().replace("repositories/seoul}", "repositories/seoul, clean_up_after_copies: 1}")
        path.write_text(text)
        made.ok("apply", "-y")
        rows = made.rows()
        cleaned = made.aegis("apply", "-y")
        assert cleaned.code == 1, cleaned.text
        assert "copies-not-apart" in cleaned.text, cleaned.text
        assert rows_beside(made) == rows
        assert not list(made.repository("seoul").rglob("same/*"))
