"""Steps that can be planned and that nothing does yet: seen in full, never applied."""

from __future__ import annotations

from aegis_plan.plan.planfile import read, write
from tests.plan.test_strategies import declared, plan, replica
from tests.plan.world import member


def test_what_was_not_built_stays_so_in_the_plan_file_and_old_files_can_be_read() -> None:
    made = plan(declared("failover"), member("unreachable"), replica())
    told = next(finding for finding in made.findings if finding.code == "step-not-built")
    assert "policy-db.promote" in told.detail
    assert made.blocked
    again, _ = read(write(made))
    assert [step.built for step in again.steps] == [step.built for step in made.steps]
    old = next(step for step in again.steps if not step.built)
    plain = old.model_dump(mode="json")
    del plain["built"]
    assert type(old).model_validate(plain).built
