"""One set in a folder, on a real S3 server and on an Azure one: quorum, healing, safe clean-up, a recovery from the
clouds alone."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.servers.azurite import CONTAINER, AzureServer, azurite
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.unruly import Refusal, Unruly, before
from tests.servers.versitygw import LOCKED, versitygw
from tests.thread.world import World, world

__all__ = ["azurite", "versitygw"]

PLACE = "  busan: {kind: local, site: seoul, path: ../repositories/busan}"


@dataclass
class Clouds:
    """A world with a local repository `seoul`, an S3 server `gateway` and an Azure one `azure`, each behind a proxy."""

    world: World
    gateway: Unruly
    azure: Unruly
    prefix: str

    def copies(self) -> dict[str, list[str]]:
        """Set id to the repositories that hold it, by the product's own catalog."""
        found = json.loads(self.world.ok("catalog", "--json").out)
        return {one["set"]: sorted(one["copies"]) for store in found["stores"] for one in store["sets"]}

    def declare(self, old: str, new: str) -> None:
        file = self.world.plans / "aegis.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


@pytest.fixture
def clouds(versitygw: S3Server, azurite: AzureServer) -> Iterator[Clouds]:
    with before(versitygw.port) as gateway, before(azurite.port) as azure, world() as made:
        prefix = uuid.uuid4().hex[:8]
        s3 = (
            f"  gateway: {{kind: s3, bucket: {BUCKET}, prefix: {prefix}, region: us-east-1,"
            f' endpoint: "http://127.0.0.1:{gateway.port}", path_style: true,'
            ' access_key: "${env:GATEWAY_KEY}", secret_key: "${env:GATEWAY_SECRET}"}'
        )
        blobs = f'  azure: {{kind: azure, container: {CONTAINER}, prefix: {prefix}, connection: "${{env:AZURE}}"}}'
        text = (made.plans / "aegis.yaml").read_text()
        text = text.replace(PLACE, f"{s3}\n{blobs}")
        text = text.replace("repositories: [seoul, busan]", "repositories: [seoul, gateway, azure]")
        (made.plans / "aegis.yaml").write_text(text.replace("{authority: seoul}", "{authority: azure}"))
        made.environment |= {"GATEWAY_KEY": versitygw.access, "GATEWAY_SECRET": versitygw.secret}
        made.environment["AZURE"] = azurite.at(azure.port).connection
        yield Clouds(made, gateway, azure, prefix)


def test_clouds_alone_recover(clouds: Clouds) -> None:
    made = clouds.world
    clouds.declare("repositories/seoul}", "repositories/seoul, clean_up_after_copies: 2}")
    made.ok("apply", "-y")
    assert list(clouds.copies().values()) == [["azure", "gateway", "seoul"]]
    made.ok("apply", "-y")  # the local copy goes once two others are proved
    assert list(clouds.copies().values()) == [["azure", "gateway"]]
    assert made.aegis("plan", "--detailed-exitcode").code == 0
    made.insert(200, "later")
    made.ok("backup", "policy-db", "--log", "-y")
    rows = made.rows()
    made.destroy()
    shutil.rmtree(made.repository("seoul"))
    made.ok("apply", "-y", "--scenario", "database-failure")
    assert made.rows() == rows


def test_one_away_is_degraded_and_healed(clouds: Clouds) -> None:
    made = clouds.world
    clouds.gateway.faults = [Refusal(403, "AccessDenied")] * 10_000
    ran = made.ok("apply", "-y")
    assert "gateway" in ran.text
    assert "copy-missing" in ran.text
    clouds.gateway.calm()
    due = made.aegis("plan", "--detailed-exitcode")
    assert due.code == 2, due.text
    assert "gateway" in due.text
    made.ok("apply", "-y")
    copies = clouds.copies()
    assert copies
    assert all("gateway" in where for where in copies.values())


def test_both_remotes_away_fails_and_keeps_the_local_set(clouds: Clouds) -> None:
    made = clouds.world
    clouds.declare("{authority: azure}", "{authority: seoul}")
    clouds.gateway.faults = ["cut"] * 10_000
    ran = made.aegis("apply", "-y", env={"AZURE": made.environment["AZURE"].replace("AccountKey=E", "AccountKey=F")})
    assert ran.code == 1, ran.text
    assert "too-few-copies" in ran.text
    assert "azure" in ran.text
    assert "gateway" in ran.text
    assert "Traceback" not in ran.text
    clouds.gateway.calm()
    assert list(clouds.copies().values()) == [["seoul"]], "one set, kept, and none more for each try"
    assert made.aegis("plan", "--detailed-exitcode").code == 2
    made.ok("apply", "-y")
    assert list(clouds.copies().values()) == [["azure", "gateway", "seoul"]]


def test_all_away_fails_and_says_why(clouds: Clouds) -> None:
    made = clouds.world
    clouds.declare("{authority: azure}", "{authority: gateway}")
    made.ok("apply", "-y")
    held = clouds.copies()
    made.insert(50, "later")
    shutil.rmtree(made.repository("seoul"))
    made.repository("seoul").write_text("a file where the folder was")
    wrong = {"AZURE": "nonsense", "GATEWAY_SECRET": "not-the-right-one"}
    ran = made.aegis("backup", "policy-db", "-y", env=wrong)
    assert ran.code == 1, ran.text
    assert "Traceback" not in ran.text
    made.repository("seoul").unlink()
    assert set(clouds.copies()) == set(held)


@pytest.mark.sweep(only=True)
def test_what_is_kept_is_locked_and_a_rogue_is_read_around(clouds: Clouds, versitygw: S3Server) -> None:
    made = clouds.world
    clouds.declare(f"bucket: {BUCKET}", f"bucket: {LOCKED}, object_lock: {{mode: governance}}")
    ran = made.ok("apply", "-y")
    assert "lock the backups of policy-db in gateway" in ran.text
    assert made.aegis("plan", "--detailed-exitcode").code == 0, "what is locked long enough is not locked again"
    prefix = clouds.prefix + "/"
    raw = versitygw.repository()
    listed = raw.client.list_object_versions(Bucket=LOCKED, Prefix=f"{prefix}v1/aegis/stores/")["Versions"]
    sets = [one for one in listed if "/sets/" in one["Key"]]
    assert sets
    for one in sets:
        with pytest.raises(raw.client.exceptions.ClientError):
            raw.client.delete_object(Bucket=LOCKED, Key=one["Key"], VersionId=one["VersionId"])
        raw.client.delete_object(Bucket=LOCKED, Key=one["Key"])  # the rogue: this only hides it, and succeeds
    raw.close()
    told = made.aegis("plan")
    assert "delete marker" in told.text, told.text
    rows = made.rows()
    made.destroy()
    shutil.rmtree(made.repository("seoul"))
    made.ok("apply", "-y", "--scenario", "database-failure")
    assert made.rows() == rows
