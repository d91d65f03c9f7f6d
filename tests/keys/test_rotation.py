"""Keys are changed on a real server and real buckets: what was sealed before opens with the new key alone, and no data
is written for it.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from aegis_plan.sealing.keys import new_identity
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.versitygw import versitygw
from tests.thread.world import World, world

__all__ = ["versitygw"]


PLACE = "  busan: {kind: local, site: seoul, path: ../repositories/busan}"


def bucket(server: S3Server) -> str:
    return (
        f'  cloud: {{kind: s3, bucket: {BUCKET}, prefix: rotation, region: us-east-1, endpoint: "{server.endpoint}",'
        ' path_style: true, access_key: "${env:CLOUD_KEY}", secret_key: "${env:CLOUD_SECRET}"}'
    )


@pytest.fixture(scope="module")
def here(versitygw: S3Server) -> Iterator[World]:
    """A protected system on a folder and a bucket, with a comment in what will be changed."""
    with world() as made:
        text = (made.plans / "aegis.yaml").read_text().replace(PLACE, bucket(versitygw))
        text = text.replace("repositories: [seoul, busan]", "repositories: [seoul, cloud]")
        (made.plans / "aegis.yaml").write_text(text)
        made.environment |= {"CLOUD_KEY": versitygw.access, "CLOUD_SECRET": versitygw.secret}
        sealing = made.plans / "sealing.yaml"
        sealing.write_text(sealing.read_text().replace("  recipients:", "  # who may read\n  recipients:"))
        made.ok("apply", "-y")
        yield made


def objects(made: World) -> dict[str, bytes]:
    """All that lies in the folder for the store but for keys."""
    root = made.repository("seoul") / "v1/aegis/stores"
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "/keys/" not in name}


def data_keys(made: World) -> list[Path]:
    return sorted((made.repository("seoul") / "v1/aegis/stores").rglob("keys/*.json"))


def opened(made: World, identity: Path) -> int:
    """How many of the data keys in the folder a private key opens."""
    lines = [line for line in identity.read_text().splitlines() if line.startswith("AGE-SECRET-KEY")]
    key = pyrage.x25519.Identity.from_str(lines[0])
    count = 0
    for path in data_keys(made):
        body = json.loads(path.read_text())["key"]
        for half in ("data", "meta"):
            try:
                pyrage.decrypt(base64.b64decode(body[half]["age"]), [key])
                count += 1
            except pyrage.DecryptError:
                pass
    return count


def restored(made: World, site: str) -> None:
    """The whole store beside, with the identities of that site file alone, from the bucket alone."""
    beside = made.folder / "beside"
    ran = made.aegis("restore", "policy-db", "--beside", str(beside), "-y")
    assert ran.code == 0, ran.text
    shutil.rmtree(beside)


def only(made: World, name: str) -> None:
    """Leaves one identity in the site file."""
    path = made.folder / "site/seoul.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("identities")]
    path.write_text("\n".join([*lines, f'identities: ["${{file:keys/{name}}}"]']) + "\n")


def test_after_rotate_the_new_key_opens_and_the_old_one_nothing(here: World) -> None:
    old = here.folder / "site/keys/seoul.age"
    before, count = objects(here), len(data_keys(here))
    assert opened(here, old) == 2 * count > 0
    assert here.aegis("plan", "--detailed-exitcode").code == 0
    ran = here.ok("keys", "rotate", "-y")
    assert "Traceback" not in ran.text
    assert objects(here) == before, "data was written"
    assert len(data_keys(here)) == count
    assert opened(here, old) == 0
    (new,) = (here.folder / "site/keys").glob("seoul-*.age")
    assert opened(here, new) == 2 * count
    assert new.stat().st_mode & 0o777 == 0o600
    assert "# who may read" in (here.plans / "sealing.yaml").read_text()
    said = json.loads(here.ok("keys", "list", "--json").out)
    assert said["apart"] == []
    assert len(said["spare"]) == 1
    assert here.aegis("plan", "--detailed-exitcode").code == 0
    only(here, new.name)
    restored(here, "seoul")
    only(here, old.name)
    ran = here.aegis("restore", "policy-db", "--beside", str(here.folder / "beside"), "-y")
    assert ran.code == 1
    assert "no-key-opens" in ran.text
    only(here, new.name)


def test_what_was_away_does_not_bring_an_old_form_back(here: World) -> None:
    """A repository that could not be reached keeps old forms; what is copied from it carries the new ones."""
    secret = here.environment["CLOUD_SECRET"]
    here.environment["CLOUD_SECRET"] = "not-the-right-one"
    ran = here.aegis("keys", "rotate", "-y")
    assert ran.code == 0, ran.text
    assert "keys-not-reached" in ran.text
    here.environment["CLOUD_SECRET"] = secret
    shutil.rmtree(here.repository("seoul") / "v1/aegis/stores")
    ran = here.aegis("plan", "--detailed-exitcode")
    assert ran.code == 2, ran.text
    assert "keys-open-to-others" in ran.text
    here.ok("apply", "-y")
    assert here.aegis("plan", "--detailed-exitcode").code == 0
    newest = max((here.folder / "site/keys").glob("seoul-*.age"), key=lambda path: path.stat().st_mtime_ns)
    assert opened(here, newest) == 2 * len(data_keys(here)) > 0
    assert sum(opened(here, path) for path in (here.folder / "site/keys").glob("seoul*.age") if path != newest) == 0


@pytest.mark.sweep(only=True)
def test_others_are_added_and_removed_by_name(here: World) -> None:
    secret, recipient = new_identity()
    anna = here.folder / "anna.age"
    anna.write_text(secret + "\n")
    here.ok("keys", "rotate", "--add", recipient, "-y")
    assert opened(here, anna) == 2 * len(data_keys(here))
    sealing = here.plans / "sealing.yaml"
    sealing.write_text(sealing.read_text() + f"  holders: {{anna: {recipient}}}\n")
    assert "anna" in here.ok("keys", "list").out
    here.ok("keys", "rotate", "--remove", "anna", "-y")
    assert opened(here, anna) == 0
    assert recipient not in sealing.read_text()
    assert "recipient-unknown" in here.aegis("keys", "rotate", "--remove", "anna", "-y").text
    assert "recipient-malformed" in here.aegis("keys", "rotate", "--add", recipient[:-1] + "q", "-y").text
    assert here.aegis("validate").code in (0, 3)
