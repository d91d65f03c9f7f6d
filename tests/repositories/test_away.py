"""A folder whose disk is away is never taken for a repository that is new."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from aegis_plan.errors import UnavailableError
from aegis_plan.repositories.contract import read
from aegis_plan.repositories.local import LocalRepository

KEY = "v1/aegis/state/leases/a.data.json"


def opened(tmp_path: Path) -> LocalRepository:
    return LocalRepository("folder", tmp_path / "repository", tmp_path / "known")


@pytest.mark.parametrize("mount_point", [True, False])
def test_what_was_written_to_and_is_empty_now_is_out_of_reach(tmp_path: Path, mount_point: bool) -> None:
    place = tmp_path / "repository"
    assert opened(tmp_path).head(KEY) is None
    opened(tmp_path).compare_and_set(KEY, None, b"1")
    place.rename(tmp_path / "disk")
    if mount_point:
        (place / "lost+found").mkdir(parents=True)
    again = opened(tmp_path)
    for use in (
        lambda: again.head(KEY),
        lambda: again.read_tagged(KEY),
        lambda: list(again.listing("v1/")),
        lambda: list(again.get(KEY)),
        lambda: again.put(KEY, b"2"),
        lambda: again.compare_and_set(KEY, None, b"2"),
    ):
        with pytest.raises(UnavailableError) as raised:
            use()
        assert raised.value.code == "repository-unreachable"
        assert str(tmp_path / "known") in raised.value.hint
    assert not (place / "v1").exists()


def test_one_that_was_emptied_by_sweeping_is_not(tmp_path: Path) -> None:
    made = opened(tmp_path)
    made.put("v1/a", b"1")
    made.delete("v1/a")
    assert list(opened(tmp_path).listing("v1/")) == []
    opened(tmp_path).put("v1/a", b"2")


def test_a_backup_that_begins_anew_leaves_the_uploads_of_others_alone(tmp_path: Path) -> None:
    """The folder is shared by all stores, and what a killed attempt left there is removed at any age."""
    ours, others = (LocalRepository("here", tmp_path / "repository") for _ in range(2))
    upload = others.open("v1/s/stores/other/line/sets/one/base.000")
    upload.write(b"x" * 1000)
    assert ours.sweep("v1/s/stores/mine/", 0.0) == []
    upload.write(b"y" * 1000)
    upload.commit(hashlib.sha256(b"x" * 1000 + b"y" * 1000).hexdigest())
    assert len(read(ours, "v1/s/stores/other/line/sets/one/base.000")) == 2000
