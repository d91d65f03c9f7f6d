"""Data keys wrapped anew, killed at every write: each has a whole form at every moment, and going on ends it."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis_plan.documents.model import Sealing
from aegis_plan.documents.recipients import recipients_of
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys as layout
from aegis_plan.repositories.contract import Head, Repository
from aegis_plan.repositories.datakeys import load_key
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.repositories.rewrapping import Rewrapping, done_already, forms_in
from aegis_plan.repositories.s3 import S3Repository
from aegis_plan.sealing.keys import DataKey, new_data_key, new_identity, new_signing_key, wrap
from tests.servers.bucket import S3Server
from tests.servers.versitygw import LOCKED, versitygw

__all__ = ["versitygw"]

OLD, NEW, RECOVERY, HOST = (new_identity() for _ in range(4))
PRIVATE, PUBLIC = new_signing_key()
ROOT = layout.lineage_root("s", "x", "l")
BEFORE = Sealing(recipients=(OLD[1],), recovery_recipient=RECOVERY[1], signers={"seoul": PUBLIC})
AFTER = BEFORE.model_copy(update={"recipients": (NEW[1],), "host_recipients": {"seoul": HOST[1]}})


class Deadly(LocalRepository):
    """Kills its process instead of doing the write that is due for it."""

    left = 0

    def put(self, key: str, data: bytes) -> Head:
        self._count()
        return super().put(key, data)

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)

    @classmethod
    def _count(cls) -> None:
        if cls.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        cls.left -= 1


def filled(folder: Path) -> tuple[dict[str, Repository], list[DataKey]]:
    made: dict[str, Repository] = {name: Deadly(name, folder / name) for name in ("one", "two")}
    wrapped = [new_data_key(f"r-F{number}") for number in range(2)]
    for key in wrapped:
        blob = wrap(key, BEFORE, "seoul", PRIVATE)
        for name in made:
            LocalRepository(name, folder / name).put(layout.data_key("s", "x", "l", key.name, 0), blob)
    return made, wrapped


def rewrap(repositories: dict[str, Repository], identities: tuple[str, ...] = (OLD[0], NEW[0])) -> Rewrapping:
    work = Rewrapping(repositories, AFTER, "seoul", PRIVATE, identities)
    work.run(ROOT)
    return work


def opens(repositories: dict[str, Repository], key: DataKey, *identities: str) -> bool:
    prefix = layout.data_key_prefix("s", "x", "l", key.name)
    try:
        return load_key(repositories, prefix, identities, {"seoul": PUBLIC}) == key
    except AegisError as error:
        if error.code != "no-key-opens":
            raise
        return False


def in_child(folder: Path, left: int) -> int:
    """Runs the work in a child that is killed at its write number `left`; the signal that ended it, or 0."""
    child = os.fork()
    if child == 0:
        try:
            Deadly.left = left
            rewrap({name: Deadly(name, folder / name) for name in ("one", "two")})
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] & 0x7F


def test_killed_at_every_write_and_gone_on(tmp_path: Path) -> None:
    for left in range(50):
        folder = tmp_path / str(left)
        folder.mkdir()
        _, wrapped = filled(folder)
        ended = in_child(folder, left)
        plain: dict[str, Repository] = {name: LocalRepository(name, folder / name) for name in ("one", "two")}
        for name, repository in plain.items():
            for key in wrapped:
                assert opens({name: repository}, key, OLD[0], NEW[0]), f"killed at {left}: {name} lost {key.name}"
                assert opens({name: repository}, key, RECOVERY[0])
        rewrap(plain)
        assert done_already(plain, ROOT, AFTER) == ""
        for key in wrapped:
            assert opens(plain, key, NEW[0])
            assert not opens(plain, key, OLD[0])
            assert opens(plain, key, RECOVERY[0])
        # Both copies are one form, whoever was interrupted.
        assert forms_in(plain["one"], ROOT) == forms_in(plain["two"], ROOT)
        if not ended:
            assert left == 8, "each of two keys is written and removed in two places"
            return
    raise AssertionError("the work never ends")


def test_a_form_that_is_new_somewhere_needs_no_key(tmp_path: Path) -> None:
    made, wrapped = filled(tmp_path)
    Deadly.left = -1
    rewrap({"one": made["one"]})
    work = rewrap(made, ())
    assert (work.failed, work.made, work.removed) == ({}, 0, 2)
    assert all(opens({"two": made["two"]}, key, NEW[0]) and not opens(made, key, OLD[0]) for key in wrapped)


def test_without_a_key_that_opens_nothing_is_touched(tmp_path: Path) -> None:
    made, wrapped = filled(tmp_path)
    Deadly.left = -1
    for identities in ((), (NEW[0],), (HOST[0],)):
        work = rewrap(made, identities)
        assert {error.code for error in work.failed.values()} == {"no-key-opens"}
        assert set(work.failed) == {key.name for key in wrapped}
    assert all(opens(made, key, OLD[0]) for key in wrapped)


def test_a_planted_form_is_never_what_is_wrapped_anew(tmp_path: Path) -> None:
    made, (first, _) = filled(tmp_path)
    Deadly.left = -1
    planted = wrap(new_data_key(first.name), BEFORE, "seoul", new_signing_key()[0], 7)
    for generation in (1, 7):
        made["one"].put(layout.data_key("s", "x", "l", first.name, generation), planted)
    assert rewrap(made).failed == {}
    assert opens(made, first, NEW[0])
    assert done_already(made, ROOT, AFTER) == ""
    assert recipients_of(AFTER)[0] != recipients_of(AFTER)[1]


@pytest.mark.parametrize("held", [False, True])
def test_what_a_bucket_keeps_of_old_forms_is_removed_or_told(versitygw: S3Server, tmp_path: Path, held: bool) -> None:
    _, (key, _) = filled(tmp_path)
    bucket = S3Repository("weed", versitygw.declared(LOCKED, prefix=f"p{held}"), lambda text: text)
    place = layout.data_key("s", "x", "l", key.name, 0)
    bucket.put(place, wrap(key, BEFORE, "seoul", PRIVATE))
    until = datetime.now(UTC) + timedelta(days=3)
    if held:
        bucket.client.put_object_retention(
            Bucket=LOCKED,
            Key=bucket.full_key(place),
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until},
        )
    work = rewrap({"weed": bucket})
    assert work.failed == {}
    assert opens({"weed": bucket}, key, NEW[0])
    versions = bucket.client.list_object_versions(Bucket=LOCKED, Prefix=bucket.full_key(place)).get("Versions")
    if held:
        assert len(versions) == 1
        (told,) = work.left["weed"]
        assert f"{until:%Y-%m-%d}" in told.detail
    else:
        assert not versions, "an earlier version can be read by who has the old key"
        assert work.left == {}
    bucket.close()
