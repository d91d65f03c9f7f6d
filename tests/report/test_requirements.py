"""The last line of a check: all is well only where nothing is open."""

from __future__ import annotations

import pytest

from aegis_plan.report.requirements import FINE, show
from aegis_plan.report.terminal import console
from aegis_plan.requirement import Requirement

OK = Requirement(code="a", state="ok", summary="it is there", subject="stores/x")
WARNED = Requirement(code="b", state="missing", severity="warning", summary="a backup", subject="stores/x")
BROKEN = Requirement(code="c", state="missing", summary="a role", subject="stores/x")
UNSURE = Requirement(code="d", state="could_not_verify", severity="warning", summary="room", subject="stores/x")
UNTRIED = Requirement(code="e", state="could_not_verify", severity="note", summary="writing", subject="stores/x")


@pytest.mark.parametrize(
    ("found", "last"),
    [
        ((OK,), FINE),
        ((OK, WARNED), "1 missing (all warnings or notes)."),
        ((OK, UNSURE), "1 could not be verified."),
        ((OK, UNTRIED), "1 not tried."),
        (
            (BROKEN, WARNED, UNSURE, UNTRIED),
            "2 missing (1 as warnings or notes), 1 could not be verified, 1 not tried.",
        ),
    ],
)
def test_the_last_line_counts_what_is_open(
    found: tuple[Requirement, ...], last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(found, console(width=200))
    assert capsys.readouterr().out.splitlines()[-1].startswith(last)
