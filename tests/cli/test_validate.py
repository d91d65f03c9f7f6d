"""`aegis validate`: the line and a mark below the very value, a summary last, and an exit code that agrees."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from aegis_plan.cli.main import main

PLANS = Path(__file__).parent.parent.parent / "plans"
GOOD = "aegis: v1\nsystem: {name: demo, objectives: {rto: 4h}}\nsites: {seoul: {role: primary}}\n"


@pytest.mark.parametrize(
    ("more", "code", "counts"),
    [
        ("", 0, {"error": 0, "breach": 0, "warning": 0, "note": 0}),
        ("scenarios: {fire: {disruption: site}}\n", 0, {"error": 0, "breach": 0, "warning": 1, "note": 0}),
        (
            "scenarios: {fire: {disruption: site, expect: {rto: 8h}}}\n",
            3,
            {"error": 0, "breach": 1, "warning": 1, "note": 0},
        ),
        ("scenarios: {fire: {disruption: sit}}\n", 1, {"error": 1, "breach": 0, "warning": 0, "note": 0}),
    ],
)
def test_json_and_exit_code_agree(
    more: str, code: int, counts: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + more)
    assert main(["validate", str(tmp_path), "--json"]) == code
    data = json.loads(capsys.readouterr().out)
    assert data["counts"] == counts
    assert len(data["findings"]) == sum(counts.values())
    assert data["valid"] is (code != 1)
    assert main(["validate", str(tmp_path)]) == code


WARNED = "scenarios: {fire: {disruption: site, expect: {rto: 8h}}}\n"
BREACH, WARNING = "scenario-exceeds-objectives", "scenario-unrehearsed"


@pytest.mark.parametrize(
    ("options", "code", "left"),
    [
        ([], 3, {BREACH, WARNING}),
        (["--ignore", BREACH], 0, {WARNING}),
        (["--strict", "--ignore", BREACH], 3, {WARNING}),
        (["--strict", "--ignore", BREACH, "--ignore", WARNING], 0, set()),
        (["--ignore", "store-unused"], 3, {BREACH, WARNING}),
    ],
)
def test_what_is_left_out_is_counted_and_ends_with_nothing(
    options: list[str], code: int, left: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + WARNED)
    assert main(["validate", str(tmp_path), "--json", *options]) == code
    data = json.loads(capsys.readouterr().out)
    assert {finding["code"] for finding in data["findings"]} == left
    assert data["left_out"] == 2 - len(left)
    assert main(["validate", str(tmp_path), *options]) == code
    shown = capsys.readouterr().out
    assert ("Left out by --ignore: " in shown) is (len(left) < 2)
    if not left:
        assert shown.splitlines()[-1] == "Left out by --ignore: 2 findings."


def test_notes_are_not_strict_and_no_misspelt_rule_leaves_nothing_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(PLANS / "aegis-clean"), "--strict"]) == 0
    capsys.readouterr()
    assert main(["validate", str(PLANS / "aegis-clean"), "--ignore", "scenario-unrehearsd"]) == 64
    told = capsys.readouterr().err
    assert "rule-unknown" in told
    assert "scenario-unrehearsed" in told


def test_the_source_plan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PLANS.parent)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["validate", "plans/aegis"]) == 3
    shown = capsys.readouterr().out
    assert "breach[log-shorter-than-dwell]: the log is kept shorter than an infection may go unseen\n" in shown
    assert "  --> plans/aegis/stores.yaml:28:47  stores/policy-db/backup/log/retain\n" in shown
    line = '  28 |       log: {schedule: "*/15 * * * *", retain: 3 days}\n'
    assert line + "     |" + " " * (line.index("3 days") - 6) + "^^^^^^\n" in shown
    assert shown.splitlines()[-1].startswith("Found: 11 breaches, ")
    assert main(["validate", "plans/aegis-clean"]) == 0


def test_marks_stand_below_wide_letters_and_in_long_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    (tmp_path / "a.yaml").write_text(
        GOOD + "scenarios:\n  fire: {description: 서울 데이터센터, disruption: site, expect: {rto: 8h}}\n"
        f"  flood: {{description: {'x' * 200}, disruption: site, expect: {{rto: 9h}}}}\n"
    )
    assert main(["validate", str(tmp_path)]) == 3
    from rich.cells import cell_len

    lines = capsys.readouterr().out.splitlines()
    for value in ("8h", "9h"):
        above, below = next((one, two) for one, two in pairwise(lines) if f"rto: {value}" in one and "^" in two)
        assert cell_len(above) <= 60
        assert cell_len(above[: above.index(value)]) == below.index("^")
        assert below.count("^") == 2


def test_several_systems_are_not_read_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent.parent)
    assert main(["validate"]) == 64
    assert "systems-several" in (told := capsys.readouterr().err)
    assert "plans/aegis" in told
    assert main(["validate", "plans/aegis-clean"]) == 0


def test_of_very_many_findings_the_gravest_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roles = "".join(f"  r{number}: {{}}\n" for number in range(150))
    late = "scenarios: {fire: {disruption: site, expect: {rto: 8h}}}\n"
    (tmp_path / "a.yaml").write_text(f"{GOOD}team:\n{roles}{late}")
    assert main(["validate", str(tmp_path), "--json"]) == 3
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert main(["validate", str(tmp_path)]) == 3
    shown = capsys.readouterr().out
    assert shown.count("\n  -->") == 200
    assert shown.count("breach[") == counts["breach"] == 1
    assert f"And {sum(counts.values()) - 200} more, none of them graver; --json has all.\n" in shown


def test_of_very_many_problems_the_first_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + "team:\n" + "".join(f"  r{at}: {{x: 1}}\n" for at in range(250)))
    assert main(["validate", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count("error[field-unknown]") == 200
    assert said.endswith("And 50 more; 'aegis validate --json' has all.\n250 problems found.\n")
