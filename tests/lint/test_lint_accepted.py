"""A finding that is known is accepted with its reason: shown as a note, never gone, and never left over unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from lint_case import found

from aegis_plan.errors import DocumentsError

EXCEEDS = """\
aegis: v1
system: {objectives: {rto: 4h, rpo: 15m}}
scenarios:
  ransomware: {disruption: ransomware, expect: {rto: 8h, rpo: 1h}}
drills:
  try-it: {kind: full, scenario: ransomware, schedule: "0 5 * * 0", duration: 1h}
accepted:
"""


def seen(text: str, folder: Path) -> list[tuple[str, str, str]]:
    said = [finding for finding in found(EXCEEDS + text, folder) if finding.code != "section-experimental"]
    return [(finding.severity, finding.code, finding.subject) for finding in said]


def test_an_accepted_finding_is_a_note_with_its_reason_and_the_others_stay(tmp_path: Path) -> None:
    text = "  scenario-exceeds-objectives: {scenarios/ransomware/expect/rto: the board agreed}\n"
    assert seen(text, tmp_path) == [
        ("note", "scenario-exceeds-objectives", "scenarios/ransomware/expect/rto"),
        ("breach", "scenario-exceeds-objectives", "scenarios/ransomware/expect/rpo"),
    ]
    first = next(finding for finding in found(EXCEEDS + text, tmp_path) if finding.subject.endswith("rto"))
    assert first.detail.endswith("accepted (breach): the board agreed")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{scenario-exceeds-objectives: {scenarios/ransomware/expect/rtoo: x}}", "expect/rto'?"),
        ("{scenario-exceeds-objective: {scenarios/ransomware/expect/rto: x}}", "scenario-exceeds-objectives'?"),
        ("{approver-alone: {team/lead/people: x}}", "take the line out"),
    ],
)
def test_an_acceptance_that_fits_nothing_is_found(text: str, hint: str, tmp_path: Path) -> None:
    (left,) = [
        finding for finding in found(EXCEEDS + f"  {text}\n", tmp_path) if finding.code == "acceptance-unmatched"
    ]
    assert left.severity == "warning"
    assert hint in left.hint
    assert left.position is not None
    assert left.position.line == 8
    assert ("breach", "scenario-exceeds-objectives") in {one[:2] for one in seen(f"  {text}\n", tmp_path)}


def test_nothing_is_accepted_without_a_reason(tmp_path: Path) -> None:
    for reason in ('""', '" "', "", "[]"):
        with pytest.raises(DocumentsError) as caught:
            found(EXCEEDS + f"  scenario-exceeds-objectives: {{scenarios/ransomware/expect/rto: {reason}}}\n", tmp_path)
        assert [problem.code for problem in caught.value.problems] == ["value-invalid"]


def test_what_several_scenarios_make_of_one_place_is_one_finding(tmp_path: Path) -> None:
    scenarios = "".join(f"  fire-{number}: {{disruption: site, affects: {{sites: [busan]}}}}\n" for number in range(5))
    loss = "aegis: v1\ntiers: {1: {name: critical}}\nservices: {portal: {tier: 1, runs_at: [busan]}}\nscenarios:\n"
    (told,) = [one for one in found(loss + scenarios, tmp_path) if one.code == "service-lost-with-site"]
    assert "'fire-0' takes busan; portal" in told.detail
    assert told.detail.endswith("'fire-2' takes busan; and 2 more of this kind")
