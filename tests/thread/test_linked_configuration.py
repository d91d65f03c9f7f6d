"""Configuration that the data directory holds as links, which a server leaves out of its backups."""

from __future__ import annotations

import os
import shutil

from tests.thread.beside import rows_beside
from tests.thread.history import protected_again
from tests.thread.world import world


def test_links_to_configuration_come_back_as_files() -> None:
    with world() as made:
        made.server.stop()
        etc = made.server.folder / "etc"
        etc.mkdir()
        for name in ("postgresql.conf", "pg_hba.conf"):
            shutil.move(made.server.data / name, etc / name)
            os.symlink(etc / name, made.server.data / name)
        kept = (etc / "postgresql.conf").read_text()
        made.server.start()
        made.ok("apply", "-y")
        rows = made.rows()
        assert rows_beside(made) == rows
        made.destroy()
        shutil.rmtree(etc)
        made.ok("apply", "-y", "--scenario", "database-failure")
        assert made.rows() == rows
        assert (made.server.data / "postgresql.conf").read_text() == kept
        assert not etc.exists()
        protected_again(made)
