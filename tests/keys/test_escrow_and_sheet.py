"""Secrets put away for the recovery key alone, the recovery sheet, and key files; with folders and no database."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aegis_plan.sealing.escrow import make
from aegis_plan.sealing.keys import new_identity, new_signing_key, public_identity

SECRETS = {"DOOR_DB": "postgresql://door:hunter2'$x@db/door", "BUCKET_KEY": "AKIA-not-a-real-one"}
SYSTEM = """\
aegis: v1
system: {name: small, timezone: Asia/Seoul}
state: {authority: one}
tiers: {1: {name: critical}}
sites: {main: {reach: local, file: ../site/main.yaml}}
repositories:
  one: {kind: local, site: main, path: ../one}
  two: {kind: local, site: main, path: ../two}
  far: {kind: s3, bucket: away, endpoint: "http://127.0.0.1:9", region: us-east-1, access_key: "${env:BUCKET_KEY}"}
stores:
  door-db:
    engine: postgresql
    members: {m: {site: main, connection: "${env:DOOR_DB}", server: {data_directory: /nowhere, binaries: /nowhere}}}
    backup: {repositories: [one, two]}
services: {door: {tier: 1, uses: [door-db]}}
scenarios: {broken: {disruption: store, affects: {stores: [door-db]}}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "plans").mkdir()
    (folder / "plans/system.yaml").write_text(SYSTEM)
    done = aegis("keys", "new", "main", "--documents", "plans/sealing.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def aegis(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aegis_plan", *words], cwd=cwd,
        env={**os.environ, **SECRETS, "COLUMNS": "200", **environment},
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def holds_none(text: str) -> bool:
    return not any(value in text for value in (*SECRETS.values(), "hunter2"))


def test_an_escrow_opens_with_the_recovery_key_and_with_no_other(home: Path) -> None:
    out = aegis("keys", "escrow", "-y", cwd=home)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "copy-missing" in out.stdout, "a repository that is away is told"
    (one,) = (home / "one").rglob("escrow/*.json")
    assert [one.read_bytes()] == [path.read_bytes() for path in (home / "two").rglob("escrow/*.json")]
    assert sorted(json.loads(one.read_text())["escrow"]["references"]) == ["${env:BUCKET_KEY}", "${env:DOOR_DB}"]
    for path in (*home.rglob("*.json"), *home.rglob("*.jsonl"), *home.rglob("plan*")):
        assert path.is_dir() or holds_none(path.read_text(errors="replace")), path
    assert holds_none(out.stdout + out.stderr)
    for key in ("main.age", "main.sign"):
        wrong = aegis("keys", "escrow", "--open", str(one), "--identity", f"site/keys/{key}", "--out", "no", cwd=home)
        assert wrong.returncode == 1
        assert ("no-key-opens" if key == "main.age" else "key-invalid") in wrong.stderr
    recovery = ["--identity", "site/keys/recovery.age", "--out", "secrets.sh"]
    opened = aegis("keys", "escrow", "--open", str(one), *recovery, cwd=home)
    assert opened.returncode == 0, opened.stderr
    assert holds_none(opened.stdout + opened.stderr)
    assert (home / "secrets.sh").stat().st_mode & 0o777 == 0o600
    shell = subprocess.run(
        ["/bin/sh", "-c", '. ./secrets.sh; printf %s "$DOOR_DB"'], cwd=home, capture_output=True, text=True, check=True
    )
    assert shell.stdout == SECRETS["DOOR_DB"]


def test_an_escrow_that_somebody_else_wrote_runs_nothing(home: Path) -> None:
    """Its recipient is public, and its values are read by a shell."""
    key = (home / "site/keys/recovery.age").read_text().split("\n")
    secret = next(line for line in key if line.startswith("AGE-SECRET-KEY-"))
    mine, _ = new_signing_key()
    values = {
        "${env:A=1; touch ran-1; B}": "x",
        "${env:GOOD}": "$(touch ran-2)'; touch ran-3; '",
        "${file:x}\ntouch ran-4": "y\ntouch ran-5",
        "${env:LD_PRELOAD}": "evil.so",
        "${env:PATH}": "/evil",
    }
    recipient = public_identity(secret)
    blob = make("i\ntouch ran-6", "s\rx\ntouch ran-7", "site", "", datetime.now(UTC), recipient, values, mine)
    (home / "forged.json").write_bytes(blob)
    words = ("--identity", "site/keys/recovery.age", "--out", "forged.sh")
    opened = aegis("keys", "escrow", "--open", "forged.json", *words, cwd=home)
    assert opened.returncode == 0, opened.stderr
    ran = subprocess.run(
        ["/bin/sh", "-c", '. ./forged.sh && echo "$GOOD|$LD_PRELOAD|$PATH"'], cwd=home, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert ran.stdout.startswith(values["${env:GOOD}"] + "||")
    assert "/evil" not in ran.stdout
    assert not list(home.glob("ran-*"))


def test_an_escrow_says_what_is_in_it_and_when_it_is_stale(home: Path) -> None:
    fresh = json.loads(aegis("keys", "escrow", "--list", "--json", cwd=home).stdout)
    assert fresh["references"] == ["${env:BUCKET_KEY}", "${env:DOOR_DB}"]
    assert fresh["stale"] == []
    assert [text.partition(":")[0] for text in fresh["repositories"]] == ["far"]
    changed = aegis("keys", "escrow", "--list", cwd=home, DOOR_DB="another")
    assert changed.returncode == 1
    assert "${env:DOOR_DB} has another value now" in changed.stdout
    assert "another value" not in aegis("keys", "escrow", "--list", cwd=home).stdout


def test_only_what_a_scenario_needs_goes_into_a_file(home: Path) -> None:
    out = aegis("keys", "escrow", "--scenario", "broken", "--out", "broken.escrow", cwd=home)
    assert out.returncode == 0, out.stderr
    body = json.loads((home / "broken.escrow").read_text())["escrow"]
    assert body["references"] == ["${env:DOOR_DB}"]
    assert aegis("keys", "escrow", "--out", "broken.escrow", cwd=home).returncode == 1, "nothing is overwritten"


def test_the_sheet_has_what_a_bare_machine_needs_and_no_secret(home: Path) -> None:
    sealing = (home / "plans/sealing.yaml").read_text()
    recovery = (home / "site/keys/recovery.age").read_text().strip()
    text = aegis("keys", "sheet", "--kept", "safe in Busan", cwd=home).stdout
    for wanted in (
        "file://",
        "s3://away?endpoint=http://127.0.0.1:9",
        "safe in Busan",
        "--from",
        "door-db",
        "ed25519:",
    ):
        assert wanted in text, wanted
    recipients = re.findall(r"age1[a-z0-9]+", sealing)
    assert recipients
    assert all(one in text for one in recipients)
    page = aegis("keys", "sheet", "--html", "sheet.html", cwd=home)
    assert page.returncode == 0, page.stderr
    assert "AGE-SECRET-KEY" not in text + (home / "sheet.html").read_text()
    assert "src=" not in (home / "sheet.html").read_text()
    asked = aegis("keys", "sheet", "--print-recovery-key", "site/keys/recovery.age", cwd=home)
    assert recovery in asked.stdout
    other = aegis("keys", "sheet", "--print-recovery-key", "site/keys/main.age", cwd=home)
    assert "recovery-key-other" in other.stderr


def test_a_key_that_was_cut_or_lies_open_is_refused(home: Path, tmp_path: Path) -> None:
    site = tmp_path / "home"
    shutil.copytree(home, site)
    key = site / "site/keys/main.age"
    whole = key.read_text()
    for wrong in (whole[:-5], whole.replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-"), new_identity()[1], ""):
        key.write_text(wrong)
        said = aegis("keys", "list", "--offline", cwd=site)
        assert said.returncode == 1
        assert "key-invalid" in said.stderr
        assert not wrong.startswith("AGE") or wrong.strip() not in said.stderr
    key.write_text(whole)
    key.chmod(0o640)
    assert "key-exposed" in aegis("keys", "list", "--offline", cwd=site).stderr


def test_a_new_signing_key_takes_the_place_and_the_old_one_is_believed(home: Path, tmp_path: Path) -> None:
    site = tmp_path / "home"
    shutil.copytree(home, site)
    sealing = site / "plans/sealing.yaml"
    sealing.write_text(sealing.read_text().replace("  signers", "  # who signs\n  signers"))
    before = json.loads(aegis("keys", "list", "--offline", "--json", cwd=site).stdout)["signers"]
    for _ in range(2):
        done = aegis("keys", "new", "main", "--signing", cwd=site)
        assert done.returncode == 0, done.stderr
    after = json.loads(aegis("keys", "list", "--offline", "--json", cwd=site).stdout)["signers"]
    assert [one["state"] for one in after] == ["present", "former", "former"]
    assert after[0]["private_half_here"]
    assert before[0]["key"] in {one["key"] for one in after[1:]}
    assert "# who signs" in sealing.read_text()
    assert aegis("validate", cwd=site).returncode in (0, 3)
