"""Lint finds the contradictions of the source plan by itself, and nothing once they are resolved."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from aegis_plan.clock import SystemClock
from aegis_plan.documents.lint.look import findings
from aegis_plan.documents.load import load

PLANS = Path(__file__).parent.parent.parent / "plans"


@pytest.mark.parametrize(
    ("severity", "code", "place", "said"),
    [
        ("breach", "rpo-unreachable", "stores.yaml:53:24", "policy-graph: every 24 h + "),
        ("breach", "rpo-unreachable", "stores.yaml:73:24", "policy-vectors: every 24 h + "),
        ("breach", "rpo-unreachable", "stores.yaml:28:23", "policy-db: every 15 min + "),
        ("breach", "scenario-exceeds-objectives", "scenarios.yaml:85:19", "an RTO of 8 h against 4 h"),
        ("breach", "scenario-exceeds-objectives", "scenarios.yaml:85:28", "an RPO of 1 h against 15 min"),
        ("breach", "best-misses-objectives", "scenarios.yaml:86:26", "1 h when all goes well, against 15 min"),
        ("breach", "scenario-rpo-unreachable", "scenarios.yaml:14:28", "policy-graph is restored from whole backups"),
        ("breach", "log-shorter-than-dwell", "stores.yaml:28:47", "log kept 3 days against an infection found later"),
        ("breach", "dwell-exceeds-reach", "stores.yaml:53:45", "7 days - 24 h = 6 days old, against 14 days"),
        ("breach", "dwell-exceeds-reach", "stores.yaml:73:45", "7 days - 24 h = 6 days old, against 14 days"),
        ("warning", "log-shorter-than-backups", "stores.yaml:28:47", "kept 3 days, the full backups 28 days"),
        ("warning", "retention-shorter-than-drill", "stores.yaml:53:45", "kept 7 days, and 'backup-restore'"),
        ("warning", "scenario-unrehearsed", "scenarios.yaml:77:3", "'ransomware'"),
        ("warning", "schedules-collide", "drills.yaml:19:15", "share busan"),
        ("note", "availability-spent", "system.yaml:12:19", "4 h + 2 h + 8 h = 14 h"),
        ("note", "deputy-circle", "team.yaml:15:13", "incident-commander -> infrastructure-lead -> incident-commander"),
    ],
)
def test_the_contradictions_of_the_source_plan(severity: str, code: str, place: str, said: str) -> None:
    found = [
        finding
        for finding in load(PLANS / "aegis").warnings(SystemClock().now())
        if finding.code == code and str(finding.position) == str(PLANS / "aegis" / place)
    ]
    assert [finding.severity for finding in found] == [severity]
    assert said in found[0].detail


@pytest.mark.parametrize("year", range(2026, 2034))
def test_no_rule_fires_on_the_clean_example(year: int) -> None:
    loaded = load(PLANS / "aegis-clean")
    found = findings(loaded.documents, loaded.root, datetime(year, 11, 24, tzinfo=UTC))
    assert {finding.code for finding in found} == {"section-experimental"}


def test_the_clean_example_is_the_same_system() -> None:
    before, after = load(PLANS / "aegis").documents, load(PLANS / "aegis-clean").documents
    assert not after.accepted
    for section in ("services", "stores", "repositories", "sites", "scenarios", "team", "channels", "monitors"):
        assert set(getattr(before, section)) == set(getattr(after, section))
    assert set(before.drills) <= set(after.drills)
