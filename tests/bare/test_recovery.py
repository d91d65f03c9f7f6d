"""Everything is lost but a repository and the offline key: documents, history and rows come back, in a new folder, as
another user."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator

import pytest

from tests.bare.rig import Bare, disk, machine, rows_of
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.versitygw import versitygw
from tests.thread.world import World, world

__all__ = ["versitygw"]


@pytest.fixture(scope="module")
def lost(versitygw: S3Server) -> Iterator[tuple[World, list[tuple[int, str]], str]]:
    """A system that is published and backed up into a folder and a bucket, and whose server is gone; its rows, and the
    address of the bucket."""
    prefix = uuid.uuid4().hex[:8]
    with world() as made:
        path = made.plans / "aegis.yaml"
        place = "  busan: {kind: local, site: seoul, path: ../repositories/busan}"
        assert place in path.read_text()
        bucket = (
            f"  busan: {{kind: s3, bucket: {BUCKET}, prefix: {prefix}, region: us-east-1,"
            f' endpoint: "{versitygw.endpoint}", access_key: "${{env:B_KEY}}", secret_key: "${{env:B_SECRET}}"}}'
        )
        text = (
            path.read_text()
            .replace(place, bucket)
            .replace("{authority: seoul}", "{authority: seoul, mirrors: [busan]}")
        )
        path.write_text(text.replace("tier: 1, uses", 'tier: 1, owner: "{{ owner }}", uses'))
        (made.plans / "more").mkdir()
        (made.plans / "more" / "variables.yaml").write_text("aegis: v1\nvariables:\n  owner: {default: someone}\n")
        made.environment |= {"B_KEY": versitygw.access, "B_SECRET": versitygw.secret, "AEGIS_VAR_owner": "Kim"}
        made.ok("apply", "-y")
        made.ok("publish", "--wheels", "none", "-y")
        made.insert(300, "later")
        made.ok("backup", "policy-db", "--log", "-y")
        rows = made.rows()
        made.destroy()
        yield made, rows, f"s3://{BUCKET}/{prefix}?endpoint={versitygw.endpoint}&region=us-east-1"


@pytest.fixture
def bare(lost: tuple[World, list[tuple[int, str]], str]) -> Iterator[Bare]:
    made = machine(lost[0], f"bare {uuid.uuid4().hex[:6]}")
    yield made
    shutil.rmtree(made.folder)


def test_from_a_folder(lost: tuple[World, list[tuple[int, str]], str], bare: Bare) -> None:
    made, rows, _ = lost
    source = ("--from", disk(made, bare), "--key", "stick/key.age")
    status = bare.ok("status", *source)
    assert "revision 1" in status.err
    assert "stands in for site seoul" in status.err
    assert "Not reached: repository busan" in status.err
    assert "policy-db" in status.out
    assert json.loads(bare.ok("catalog", "--json", *source).out)["stores"][0]["sets"]
    told = bare.ok("runs", *source).out
    assert "back up policy-db (log)" in told
    assert "publish the documents" in told
    shown = bare.ok("show", *source).out
    assert (made.plans / "aegis.yaml").read_text() in shown
    plan = ("--store", "policy-db", "--to", "latest", "--beside", str(bare.folder / "data"), "--out", "a.plan")
    bare.ok("plan", *plan, *source)
    assert "policy-db.stage" in bare.ok("show", "a.plan", *source).out
    bare.ok("apply", "a.plan", "-y", *source)
    assert rows_of(made, bare) == rows


def test_from_a_bucket(lost: tuple[World, list[tuple[int, str]], str], bare: Bare, versitygw: S3Server) -> None:
    """Credentials by the SDK's own names: those of the documents are not known here."""
    made, rows, address = lost
    bare.environment |= {"AWS_ACCESS_KEY_ID": versitygw.access, "AWS_SECRET_ACCESS_KEY": versitygw.secret}
    source = ("--from", address, "--key", "stick/key.age", "--into", "here")
    words = ("restore", "policy-db", "--beside", str(bare.folder / "data"), "-y")
    refused = bare.aegis(*words, *source)
    assert refused.code == 1, refused.text
    assert "--break-glass" in refused.text, "the authority is gone with its site"
    ran = bare.ok(*words, *source, "--break-glass", "the site is gone")
    assert "Not reached: repository seoul" in ran.err
    assert rows_of(made, bare) == rows
    # The folder needs no --from any more.
    assert "policy-db" in bare.ok("-C", "here", "status").out
    assert "policy-db" in bare.ok("-C", "here", "runs", "last").out


def test_a_run_is_gone_on_with(lost: tuple[World, list[tuple[int, str]], str], bare: Bare) -> None:
    made, rows, _ = lost
    source = ("--from", disk(made, bare), "--key", "stick/key.age")
    words = ("restore", "policy-db", "--beside", str(bare.folder / "data"), "-y")
    died = bare.aegis(*words, *source, env={"AEGIS_KILL_AT": "9"})
    assert died.code == -9, died.text
    bare.ok("resume", *source)
    assert rows_of(made, bare) == rows


def test_the_documents_are_as_they_were(lost: tuple[World, list[tuple[int, str]], str], bare: Bare) -> None:
    made, _, _ = lost
    source = ("--from", disk(made, bare), "--key", "stick/key.age")
    # Nothing is ahead of what is published: it is the same revision, with the values of then.
    assert "documents changed" not in bare.ok("status", *source, env={"AEGIS_VAR_owner": "somebody else"}).out
    plans = bare.folder / "recovery-aegis" / "plans"
    for path in made.plans.rglob("*.yaml"):
        assert (plans / path.relative_to(made.plans)).read_bytes() == path.read_bytes()
    assert oct(plans.parent.stat().st_mode)[-3:] == "700"
    assert oct((plans.parent / "site/keys/key.age").stat().st_mode)[-3:] == "600"


def test_nothing_readable_names_people_or_connections(lost: tuple[World, list[tuple[int, str]], str]) -> None:
    made, _, _ = lost
    words = [b"Kim", b"someone", b"POLICY_DB", str(made.server.data).encode(), b"seoul-1", b"B_KEY"]
    files = [path for path in (made.repository("seoul") / "v1/aegis/_system").rglob("*") if path.is_file()]
    assert files
    for path in files:
        found = [word for word in words if word in path.read_bytes()]
        assert not found, f"{path} names {found}"
