"""What a plan promises: the same bytes, no side effect, applied as it is, once, and refused when the world moved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.thread.world import World


def fingerprint(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with size and time of change."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_dir()
    }


def test_plan_writes_nothing(protected: World) -> None:
    world = protected
    world.sql("CREATE ROLE looker LOGIN REPLICATION PASSWORD 'looker-pw'")
    world.sql("ALTER ROLE looker SET default_transaction_read_only = on")
    for path in world.folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o500)
    before = fingerprint(world.folder)
    dsn = f"host=127.0.0.1 port={world.server.port} user=looker dbname=postgres password=looker-pw"
    try:
        ran = world.ok("plan", "--store", "policy-db", "--to", "latest", "--json", env={"POLICY_DB": dsn})
    finally:
        for path in [world.folder, *world.folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o700)
    assert ran.out
    assert fingerprint(world.folder) == before


def test_the_file_applies_in_an_empty_folder_once(protected: World) -> None:
    world = protected
    world.insert(50, "second")
    world.ok("backup", "policy-db", "-y")
    rows = world.rows()
    world.destroy()
    world.ok("plan", "--scenario", "database-failure", "--out", "recovery.plan")
    empty = world.folder.parent / "empty"
    empty.mkdir()
    shutil.copy(world.folder / "recovery.plan", empty)
    shown = world.ok("show", "recovery.plan", cwd=empty)
    assert "policy-db" in shown.out
    moved = world.plans.rename(world.folder / "away")
    ran = world.ok("apply", "-y", "recovery.plan", cwd=empty)
    assert world.rows()[: len(rows)] == rows
    assert "RTA" in ran.text
    assert "RPA" in ran.text
    moved.rename(world.plans)
    again = world.aegis("apply", "-y", "recovery.plan", cwd=empty)
    assert again.code == 4, again.text
    assert "applied" in again.text


def test_a_changed_world_makes_the_plan_stale(protected: World) -> None:
    world = protected
    world.insert(10, "more")
    world.ok("plan", "--scenario", "database-failure", "--to", "latest", "--out", "a.plan")
    world.ok("backup", "policy-db", "-y")
    stale = world.aegis("apply", "-y", "a.plan")
    assert stale.code == 4, stale.text
    assert "newest-set" in stale.text


def test_changed_documents_make_the_plan_stale(protected: World) -> None:
    world = protected
    world.destroy()
    world.ok("plan", "--scenario", "database-failure", "--out", "a.plan")
    text = (world.plans / "aegis.yaml").read_text()
    (world.plans / "aegis.yaml").write_text(text.replace("rto: 1h", "rto: 2h"))
    stale = world.aegis("apply", "-y", "a.plan")
    assert stale.code == 4, stale.text
    assert "documents" in stale.text


def test_json_and_exit_codes_agree(bare: World) -> None:
    world = bare
    changes = world.aegis("plan", "--detailed-exitcode", "--json")
    assert changes.code == 2, changes.text
    for line in changes.out.splitlines():
        json.loads(line)
    world.ok("apply", "-y")
    assert world.aegis("plan", "--detailed-exitcode").code == 0


def test_an_altered_plan_file_is_refused(protected: World) -> None:
    world = protected
    world.destroy()
    world.ok("plan", "--scenario", "database-failure", "--out", "a.plan")
    path = world.folder / "a.plan"
    path.write_bytes(path.read_bytes().replace(b'"retries":', b'"retries": ', 1).replace(b"critical", b"criticaI", 1))
    refused = world.aegis("apply", "-y", "a.plan")
    assert refused.code == 4, refused.text
    assert "plan-altered" in refused.text
