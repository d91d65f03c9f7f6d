"""What cannot be looked at is unknown: no command says that there is no backup while a repository is away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands_on_a_host import aegis

SYSTEM = """\
aegis: v1
system: {name: small, timezone: Asia/Seoul, objectives: {rpo: 5m}}
sites: {main: {reach: local, file: ../site/main.yaml}}
repositories: {near: {kind: local, site: main, path: ../near/backups}, far: {kind: local, site: main, path: ../far/it}}
state: {authority: near}
stores:
  shop-db:
    engine: postgresql
    members:
      a: {site: main, connection: "host=/nowhere", server: {data_directory: /nowhere/data, binaries: /nowhere/bin}}
    backup: {repositories: [near, far], full: {schedule: "0 2 * * *"}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "system.yaml").write_text(SYSTEM)
    for name in ("near", "far"):
        (tmp_path / name).mkdir()
    done = aegis("keys", "new", "main", "--documents", "plans/sealing.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_where_all_was_read_there_is_none(home: Path) -> None:
    done = aegis("catalog", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "no backups in near, far" in done.stdout
    assert "unprotected" in aegis("status", cwd=home).stdout
    said = aegis("restore", "shop-db", cwd=home)
    assert "no-backup" in said.stdout + said.stderr


@pytest.mark.parametrize("away", ["one disk", "this host is no site"])
def test_what_was_not_read_is_unknown(home: Path, away: str) -> None:
    if away == "this host is no site":
        (home / "site").rename(home / "elsewhere")
    else:
        (home / "far").rmdir()
    catalog = aegis("catalog", cwd=home)
    assert catalog.returncode == 1, catalog.stdout
    assert "backups UNKNOWN" in catalog.stdout
    assert "no backups" not in catalog.stdout
    assert ("no backup in the others" in catalog.stdout) == (away == "one disk")
    reason = "this host is no site" if away == "this host is no site" else "nor the folder above it"
    assert reason in " ".join(catalog.stdout.split())
    status = aegis("status", "--json", cwd=home)
    assert status.returncode == 3
    [store] = json.loads(status.stdout)["stores"]
    assert store["state"] == "unknown"
    assert store["exposure_basis"] == "no backup is seen, and not every repository could be reached"
