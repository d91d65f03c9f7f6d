"""A plan as people read it: complete, in order, at any width, without colour, in the locale C."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len
from rich.console import Console

from aegis_plan.documents.model import Documents
from aegis_plan.documents.scalars import span
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.plan import Forecast, Intent, Plan, PlanFinding
from aegis_plan.plan.step import Estimate, Step
from aegis_plan.report.events import plan_events
from aegis_plan.report.plan import expected, show_plan, summary
from aegis_plan.report.terminal import amount

NOW = datetime(2026, 11, 23, 13, 44, 10, tzinfo=UTC)
DOCUMENTS = Documents.model_validate(
    {"system": {"name": "aegis", "timezone": "Asia/Seoul"}, "tiers": {"1": {"name": "critical"}}}
)


def step(name: str, symbol: str, seconds: float | None, **more: object) -> Step:
    form = {
        "id": f"policy-db.{name}", "action": name, "title": f"title of {name}", "reason": f"reason of {name}",
        "site": "seoul", "tier": 1, "phase": "data", "symbol": symbol, "reversible": True,
        "estimate": Estimate(seconds=seconds), **more,
    }  # fmt: skip
    return Step.model_validate(form)


def plan(*steps: Step, **more: object) -> Plan:
    form = {
        "tool": "0", "system": "aegis", "intent": Intent(kind="recover", scenario="fire", to="latest"),
        "documents": DOCUMENTS, "documents_digest": "x", "snapshot": Snapshot(taken_at=NOW), "steps": steps,
        "made_at": NOW, **more,
    }  # fmt: skip
    return Plan.model_validate(form)


RECOVERY = plan(
    step("stage", "+", 4.0),
    step("replay", "~", 60.0, needs=("policy-db.stage",)),
    step("stop-server", "~", 1.0, needs=("policy-db.replay",), destructive=True),
    step("swap", "-/+", None, needs=("policy-db.stop-server",), destructive=True),
    step("health", "<=", None, phase="verify", needs=("policy-db.swap",)),
    findings=(
        PlanFinding(severity="breach", code="rpo-breach", summary="too much – lost", hint="do it", place="a.yaml:1:2"),
    ),
    forecasts=(
        Forecast(subject="policy-db", objective="rto", target=3600, expected=65, basis="measured", verdict="pass"),
        Forecast(
            subject="policy-db", objective="rpo", target=900, expected=None, basis="why", verdict="could_not_verify"
        ),
    ),
    choices=("restore, because",),
)


def text_of(shown: Plan, width: int = 80, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    from aegis_plan.report.terminal import _THEME

    show_plan(shown, Console(file=stream, width=width, theme=_THEME, color_system=None, highlight=False, markup=False))
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_everything_is_shown_within_the_width(width: int) -> None:
    text = text_of(RECOVERY, width)
    assert all(len(line) <= width for line in text.splitlines())
    flat = " ".join(text.split())
    for name in ("stage", "replay", "stop-server", "swap", "health"):
        assert f"title of {name}" in flat
        assert f"reason of {name}" in flat
    for words in ("breach[rpo-breach]", "a.yaml:1:2", "hint: do it", "Tier 1 · critical", "RTO 1 h", "not known"):
        assert words in flat
    assert "2026-11-23 22:44:10 KST" in flat


def test_the_first_step_that_touches_people_is_marked() -> None:
    lines = text_of(RECOVERY).splitlines()
    mark = next(number for number, line in enumerate(lines) if "stopped or replaced" in line)
    assert "title of stop-server" in lines[mark + 1]


def test_the_summary_is_last() -> None:
    last = " ".join(text_of(RECOVERY).rstrip().split("\n\n")[-1].split())
    assert last == (
        "Plan: 1 to add, 2 to change, 1 to replace, 0 to remove. At least 1 min 5 s: 2 steps of unknown length."
    )
    assert expected(RECOVERY) == (65.0, 2)


def test_the_locale_c_is_enough() -> None:
    text_of(RECOVERY, encoding="ascii").encode("ascii")


def test_other_endings() -> None:
    assert summary(plan()).startswith("No changes.")
    blocked = plan(findings=(PlanFinding(severity="error", code="x", summary="y"),))
    assert "cannot be applied" in summary(blocked)
    assert "not known yet" in summary(plan(step("stage", "+", None)))


def test_events() -> None:
    lines = [json.loads(line) for line in plan_events(RECOVERY, "d1")]
    assert lines[0]["type"] == "version"
    assert [line["type"] for line in lines].count("planned_step") == 5
    assert lines[-1]["type"] == "summary"
    assert lines[-1]["counts"] == {"add": 1, "change": 2, "replace": 1, "remove": 0, "look": 1}
    assert lines[-1]["digest"] == "d1"
    assert all({"type", "@timestamp", "@message"} <= line.keys() for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0, "0 s"),
        (0.2, "< 1 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (599.7, "10 min"),
        (3580, "1 h"),
        (3600, "1 h"),
        (7300, "2 h 2 min"),
        (86400 * 3, "3 d"),
    ],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_amounts() -> None:
    assert [amount(count) for count in (None, 0, 1023, 1024, 10**9)] == [
        "unknown", "0 B", "1023 B", "1.0 KiB", "954 MiB",
    ]  # fmt: skip


KOREAN = plan(
    step("stage", "+", 4.0, title="서울 데이터베이스를 가져온다", site="서울"),
    step("swap", "-/+", None, needs=("policy-db.stage",), destructive=True, site="busan"),
    step("accept", "~", 1.0, needs=("policy-db.swap",), reversible=False),
    step("call", "~", 60.0, subject="call", reversible=False, approve="당직자", id="notify.call"),
)


@pytest.mark.parametrize("width", [40, 80, 110, 200])
def test_wide_letters_keep_the_columns(width: int) -> None:
    lines = text_of(KOREAN, width).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert all(line == line.rstrip() for line in lines)
    if width >= 80:
        right = [cell_len(line) for line in lines if line.endswith(("4 s", "time unknown", "1 s", "1 min"))]
        assert right[:4] == [min(width, 110)] * 4
    flat = " ".join(" ".join(lines).split())
    assert "서울 데이터베이스를 가져온다" in flat


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_is_first_what_stays_and_what_is_not_known_stand_at_the_end(width: int) -> None:
    end = " ".join(text_of(KOREAN, width).split("In short")[1].split())
    assert "First policy-db.stage (1) and notify.call (4), at the same time" in end
    assert "from policy-db.swap (2) on, what serves is stopped or replaced" in end
    assert "once policy-db.accept (3) is done, what was restored stays; no undo for notify.call (4)" in end
    assert "1 step waits for a person: notify.call (4)" in end
    assert "Not known how long policy-db.swap (2) takes" in end
    assert "how long people need to approve notify.call (4)" in end


def test_old_data_that_goes_is_named() -> None:
    gone = plan(step("clear", "-", 1.0, reversible=False, destructive=True, subject="policy-db"))
    assert "from policy-db.clear (1) on the old data of policy-db is gone" in " ".join(text_of(gone).split())
