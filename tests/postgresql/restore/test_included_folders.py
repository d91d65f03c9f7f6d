"""Folders that a restored configuration includes are made where they are missing, and only within its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_plan.stores.postgresql.configuration import _included


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("include_dir = 'conf.d'", "main/conf.d"),
        ("include_dir 'more/deep'", "main/more/deep"),
        ("include_dir = '../beside'", ""),
        ("include_dir = 'a/../../beside'", ""),
        ("include_dir = '/nowhere-of-ours/at-all'", ""),
        ("#include_dir = 'conf.d'", ""),
    ],
)
def test_only_folders_within_are_made(tmp_path: Path, line: str, made: str) -> None:
    main = tmp_path / "main"
    main.mkdir()
    _included(main, line.encode(), None)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} - {"main"}
    assert found == ({made, *(str(above) for above in Path(made).parents)} - {"main", "."} if made else set())
