"""`aegis plan --preflight` on a real system: what a recovery needs and lacks, before anybody needs it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.servers.postgresql import PASSWORD
from tests.thread.world import World

SHORT = "    {disruption: store, affects: {stores: [policy-db]}, strategy: restore, expect: {rto: 2h, rpo: 5m}}\n"
STEPS = """\
    disruption: store
    affects: {stores: [policy-db]}
    strategy: restore
    commander: lead
    steps:
      isolate:
        cut-off: {run: ["true"], undo: [no-such-program], approve: on-call}
        tell: {run: [echo, "${env:NOT_SET_AT_THE_SITE}"], run_as: nobody-of-that-name}
      verify:
        see: {run: ["true"], site: busan}
        seen: {manual: look at it, by: lead}
team:
  lead: {people: [Kim]}
"""


def preflight(made: World, *words: str) -> tuple[int, list[dict[str, Any]]]:
    ran = made.aegis("plan", "--preflight", "--scenario", "database-failure", "--json", *words)
    return ran.code, json.loads(ran.out)["scenarios"]["database-failure"]["requirements"]


def lacking(found: list[dict[str, Any]], state: str = "missing") -> list[str]:
    return sorted(one["code"] for one in found if one["state"] == state)


def test_from_nothing_to_ready_and_what_is_lacking_since(bare: World) -> None:
    made = bare
    code, found = preflight(made)
    assert (code, lacking(found)) == (3, ["no-backup"])
    made.ok("apply", "-y")
    code, found = preflight(made)
    assert (code, lacking(found), lacking(found, "could_not_verify")) == (0, [], [])
    assert "there is room for" in " ".join(one["summary"] for one in found)
    ran = made.ok("plan", "--preflight")
    assert "It lacks nothing" in ran.text

    path = made.plans / "aegis.yaml"
    text = path.read_text()
    assert SHORT in text
    text = text.replace(SHORT, STEPS).replace(
        "services:\n", "  busan: {role: standby, reach: {ssh: aegis@busan}}\nservices:\n", 1
    )
    path.write_text(text)
    (made.folder / "site" / "seoul.yaml").write_text(
        (made.folder / "site" / "seoul.yaml").read_text().replace("identities:", "identities: [] #")
    )
    code, found = preflight(made)
    assert code == 3
    assert lacking(found) == [
        "identity-missing",
        "person-missing",
        "program-missing",
        "program-user",
        "secret-unresolved",
    ]
    assert lacking(found, "could_not_verify") == ["site-unreachable"], "nobody could look at busan"
    assert all(one.get("hint") for one in found if one["state"] == "missing")
    assert not [text for text in made.outputs if PASSWORD in text]


@pytest.mark.parametrize(
    "words",
    [
        ("--out", "x.plan"),
        ("--json-into", "x.json"),
        ("--detailed-exitcode",),
        ("--what-if-fails", "x"),
        ("--what-if-down", "x"),
    ],
)
def test_it_makes_no_plan_to_save(words: tuple[str, ...]) -> None:
    from aegis_plan.cli.main import main

    assert main(["plan", "--preflight", *words]) == 64
