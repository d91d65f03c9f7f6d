"""One set in a folder and two real S3 servers: quorum, healing, safe clean-up, and a recovery from S3 alone."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator

import pytest

from tests.servers.bucket import BUCKET, S3Server
from tests.servers.seaweedfs import seaweedfs
from tests.servers.versitygw import versitygw
from tests.thread.world import World, world

__all__ = ["seaweedfs", "versitygw"]

PLACE = "  busan: {kind: local, site: seoul, path: ../repositories/busan}"


def bucket(name: str, server: S3Server, endpoint: str | None = None) -> str:
    return (
        f"  {name}: {{kind: s3, bucket: {BUCKET}, prefix: {uuid.uuid4().hex[:8]}, region: us-east-1,"
        f' endpoint: "{endpoint or server.endpoint}", path_style: true,'
        f' access_key: "${{env:{name.upper()}_KEY}}", secret_key: "${{env:{name.upper()}_SECRET}}"}}'
    )


@pytest.fixture
def clouds(versitygw: S3Server, seaweedfs: S3Server) -> Iterator[World]:
    """A local repository `seoul` whose copies go once two others hold them, and two buckets on different servers."""
    with world() as made:
        text = (made.plans / "aegis.yaml").read_text()
        text = text.replace(PLACE, bucket("gateway", versitygw) + "\n" + bucket("weed", seaweedfs))
        text = text.replace("repositories: [seoul, busan]", "repositories: [seoul, gateway, weed]")
        text = text.replace("repositories/seoul}", "repositories/seoul, clean_up_after_copies: 2}")
        (made.plans / "aegis.yaml").write_text(text.replace("{authority: seoul}", "{authority: gateway}"))
        for name, server in (("GATEWAY", versitygw), ("WEED", seaweedfs)):
            made.environment |= {f"{name}_KEY": server.access, f"{name}_SECRET": server.secret}
        yield made


def copies(made: World) -> dict[str, list[str]]:
    """Set id to the repositories that hold it, by the product's own catalog."""
    found = json.loads(made.ok("catalog", "--json").out)
    return {one["set"]: sorted(one["copies"]) for store in found["stores"] for one in store["sets"]}


def test_clouds_alone_recover(clouds: World) -> None:
    made = clouds
    made.ok("apply", "-y")
    assert list(copies(made).values()) == [["gateway", "seoul", "weed"]]
    made.ok("apply", "-y")  # the local copy goes once two others are proved
    assert list(copies(made).values()) == [["gateway", "weed"]]
    assert made.aegis("plan", "--detailed-exitcode").code == 0
    made.insert(200, "later")
    made.ok("backup", "policy-db", "--log", "-y")
    rows = made.rows()
    made.destroy()
    shutil.rmtree(made.repository("seoul"))
    made.ok("apply", "-y", "--scenario", "database-failure")
    assert made.rows() == rows


def test_one_away_is_degraded_and_healed(clouds: World) -> None:
    made = clouds
    right = made.environment["WEED_SECRET"]
    made.environment["WEED_SECRET"] = "not-the-right-one"
    ran = made.ok("apply", "-y")
    assert "weed" in ran.text
    assert "copy-missing" in ran.text
    made.environment["WEED_SECRET"] = right
    due = made.aegis("plan", "--detailed-exitcode")
    assert due.code == 2, due.text
    assert "weed" in due.text
    made.ok("apply", "-y")
    assert all("weed" in where for where in copies(made).values())


def test_all_away_fails_and_says_why(clouds: World) -> None:
    made = clouds
    made.ok("apply", "-y")
    before = copies(made)
    made.insert(50, "later")
    shutil.rmtree(made.repository("seoul"))
    made.repository("seoul").write_text("a file where the folder was")
    wrong = {"WEED_SECRET": "not-the-right-one", "GATEWAY_SECRET": "not-the-right-one"}
    ran = made.aegis("backup", "policy-db", "-y", env=wrong)
    assert ran.code == 1, ran.text
    assert "Traceback" not in ran.text
    made.repository("seoul").unlink()
    assert set(copies(made)) == set(before)
