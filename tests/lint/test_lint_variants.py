"""Other ways in which documents come to what a rule objects to, and what looks like it and is all right."""

from __future__ import annotations

from pathlib import Path

import pytest
from lint_case import found

STORE = """\
aegis: v1
system: {objectives: {rto: 4h, rpo: 2 weeks}}
tiers: {1: {name: critical, rto: 1h, rpo: 1h}, 2: {name: standard}}
services: {login: {tier: 1, uses: [main], owner: OWNER}, reports: {tier: 2, uses: [SECOND]}}
stores:
  main:
    engine: ENGINE
    members:
      one: {site: seoul, connection: "${env:ONE}", server: {data_directory: /d, home: /n}FIRST}
      two: {site: busan, connection: "${env:TWO}", server: {data_directory: /d, home: /n}MEMBER}
    backup:
      repositories: [near, far]
      full: {schedule: "0 2 * * 0"FULL}
      INCREMENTAL
team: {lead: {people: [Ann Lee, lea]}}
scenarios: {loss: {SCENARIO}}
"""
DEFAULTS = {
    "ENGINE": "postgresql",
    "FIRST": "",
    "MEMBER": "",
    "FULL": "",
    "INCREMENTAL": "",
    "OWNER": "lead",
    "SECOND": "login",
}
SITE = "disruption: site, affects: {sites: [seoul]}"
DATABASE = "disruption: store, affects: {stores: [main]}"


def codes(folder: Path, **values: str) -> dict[str, str]:
    text = STORE
    for name, value in (DEFAULTS | values).items():
        text = text.replace(name, value)
    if "neo4j" in values.values():
        text = text.replace("{data_directory: /d, home: /n}", "{home: /n, databases: [neo4j]}")
    else:
        text = text.replace("{data_directory: /d, home: /n}", "{data_directory: /d, binaries: /b}")
    return {finding.code: finding.detail for finding in found(text, folder)}


@pytest.mark.parametrize(
    ("code", "said", "values"),
    [
        # What is left may not be promoted.
        ("failover-without-member", ": two", {"MEMBER": ", promote: false", "SCENARIO": f"{SITE}, strategy: failover"}),
        (
            "failover-without-member",
            ": two",
            {"MEMBER": ", promote: false", "SCENARIO": f"{DATABASE}, strategy: failover"},
        ),
        (
            "scenario-rpo-unreachable",
            "main is restored",
            {"ENGINE": "neo4j", "SCENARIO": f"{SITE}, strategy: failover, expect: {{rpo: 1h}}"},
        ),
        # An engine without replicas is restored, by whatever strategy.
        (
            "restore-without-member",
            "one and two",
            {"ENGINE": "neo4j", "SCENARIO": "disruption: site, affects: {sites: [seoul, busan]}, strategy: failover"},
        ),
        (
            "failover-keeps-damage",
            "ransomware",
            {"SCENARIO": "disruption: ransomware, strategy: failover, " + SITE[18:]},
        ),
        # What has no 'retain' is kept for good, and is worth nothing without its full.
        (
            "incremental-outlives-full",
            "kept for good",
            {"FULL": ", retain: 3 days", "INCREMENTAL": 'incremental: {schedule: "0 2 * * 1-6"}', "SCENARIO": SITE},
        ),
        (
            "dwell-exceeds-reach",
            "= 0 s old",
            {
                "FULL": ", retain: 3 days",
                "INCREMENTAL": 'incremental: {schedule: "0 2 * * 1-6"}',
                "SCENARIO": "disruption: logical, dwell: 1 week, affects: {stores: [main]}",
            },
        ),
        (
            "dwell-exceeds-reach",
            "= 0 s old",
            {
                "FULL": ", retain: 1 week",
                "INCREMENTAL": 'incremental: {schedule: "0 2 * * 1-6", retain: 9 weeks}',
                "SCENARIO": "disruption: logical, dwell: 1 week, affects: {stores: [main]}",
            },
        ),
        # A scenario may promise what the loosest of its tiers does.
        ("scenario-exceeds-objectives", "tiers.1.rto", {"SECOND": "", "SCENARIO": f"{DATABASE}, expect: {{rto: 4h}}"}),
        ("best-misses-objectives", "tiers.1.rpo", {"SECOND": "", "SCENARIO": f"{DATABASE}, best: {{rpo: 2h}}"}),
        ("estimates-exceed-rto", "tiers.1.rto", {"SECOND": "", "SCENARIO": f"{DATABASE}, decide: 2h"}),
        ("decision-exceeds-rto", "tiers.1.rto", {"SCENARIO": f"{DATABASE}, decide: 1h"}),
        ("decision-exceeds-rto", "tiers.1.rto", {"SCENARIO": f"{SITE}, decide: 1h"}),
        ("decision-exceeds-rto", "loss.best.rto", {"SCENARIO": f"{DATABASE}, decide: 50m, best: {{rto: 10m}}"}),
        # A program has an hour where nothing else is written.
        (
            "estimate-exceeds-timeout",
            "where no timeout",
            {"SCENARIO": f"{SITE}, steps: {{traffic: {{move: {{run: [move], estimate: 2h}}}}}}"},
        ),
        # Nearly a role.
        ("role-undeclared", "'leed'", {"OWNER": "leed", "SCENARIO": SITE}),
    ],
)
def test_it_is_found(code: str, said: str, values: dict[str, str], tmp_path: Path) -> None:
    assert said in codes(tmp_path, **values)[code]


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("failover-without-member", {"FIRST": ", promote: false", "SCENARIO": f"{DATABASE}, strategy: failover"}),
        (
            "failover-without-member",
            {
                "ENGINE": "neo4j",
                "FIRST": ", promote: false",
                "MEMBER": ", promote: false",
                "SCENARIO": f"{SITE}, strategy: failover",
            },
        ),
        ("failover-keeps-damage", {"ENGINE": "neo4j", "SCENARIO": f"{DATABASE}, strategy: failover"}),
        ("restore-without-member", {"MEMBER": ", promote: false", "SCENARIO": SITE}),
        # Its fulls are kept for good, and so they are older than all else.
        (
            "dwell-exceeds-reach",
            {
                "INCREMENTAL": 'incremental: {schedule: "0 2 * * 1-6", retain: 1 day}',
                "SCENARIO": "disruption: logical, dwell: 1 week, affects: {stores: [main]}",
            },
        ),
        ("scenario-exceeds-objectives", {"SCENARIO": f"{DATABASE}, expect: {{rto: 4h}}"}),
        # Nobody is down where only a replica is lost.
        ("decision-exceeds-rto", {"SCENARIO": "disruption: site, affects: {sites: [busan]}, decide: 2h"}),
        # Nobody is stopped who acts by hand.
        (
            "estimate-exceeds-timeout",
            {"SCENARIO": f"{SITE}, steps: {{traffic: {{move: {{manual: Move it, estimate: 2h}}}}}}"},
        ),
        # A name, and a person of the team whose name is like a role.
        ("role-undeclared", {"OWNER": "Jane Doe", "SCENARIO": SITE}),
        ("role-undeclared", {"OWNER": "lea", "SCENARIO": SITE}),
    ],
)
def test_it_is_left_alone(code: str, values: dict[str, str], tmp_path: Path) -> None:
    assert code not in codes(tmp_path, **values)
