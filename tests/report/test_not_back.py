"""A plan that does not bring back a store of its own: every form says so, and promises nothing that rests on it."""

from __future__ import annotations

from aegis_plan.report.gist import gist
from aegis_plan.report.html import plan_html
from aegis_plan.report.markdown import plan_markdown
from aegis_plan.report.plan import show_plan
from aegis_plan.report.terminal import console
from tests.plan.test_recovery import LOST, QUIET, recover
from tests.plan.world import shelf, snapshot

SAID = "policy-db: not brought back by this plan: there is no backup to go back to"
OWN = {"traffic": {"dns": {"run": ["switch"]}}, "isolate": {"cut": {"run": ["cut"]}}}


def test_every_form_says_which_store_is_not_brought_back_and_why() -> None:
    plan = recover(snapshot(shelf(), LOST))
    assert [step.id for step in plan.steps] == ["auth.start", "auth.health"]
    out = console(color=False, width=120)
    with out.capture() as shown:
        show_plan(plan, out)
    assert shown.get().count(SAID) == 2
    assert plan_html(plan, "d", "s").count(SAID) == 2
    assert plan_markdown(plan, "d", "s", "").count(SAID) == 2


def test_nothing_is_promised_of_what_rests_on_such_a_store() -> None:
    told = gist(recover(snapshot(shelf(), LOST), changes={"scenarios__db_lost__steps": OWN}))
    assert told.first == "isolate.cut (1)"
    assert told.touches is None
    told = gist(recover(snapshot(shelf(), LOST)))
    assert told.first == ""


def test_a_plan_that_brings_all_back_lacks_nothing() -> None:
    told = gist(recover(snapshot(QUIET, LOST)))
    assert told.lacks == ()
    assert told.first == "policy-db.stage (1)"
