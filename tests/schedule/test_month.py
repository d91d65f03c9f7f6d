"""A month of the source plan's schedule, over the night on which clocks go back, with a killed scheduler whose standby
takes over. Every decision is the product's own; the clock is simulated."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from aegis_plan.catalog.due import moments
from aegis_plan.catalog.record import SetRecord
from aegis_plan.cli.main import main
from tests.schedule.month import DOCUMENTS, Month, _Driver, local

BEGIN = local("2026-10-04 12:00")
END = local("2026-11-04 12:00")
DIES = local("2026-10-18 01:59")
"""A Sunday: the full that begins then is the one in which the scheduler is killed."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="aegis-month-", dir=memory if memory.is_dir() else None))
    (made / "plans").mkdir()
    (made / "plans" / "aegis.yaml").write_text(DOCUMENTS)
    yield made
    shutil.rmtree(made)


def busy_hours(moment: datetime) -> bool:
    """People write now and then, so that most log jobs have nothing to do."""
    return moment.hour % 2 == 0 and moment.minute == 0


@pytest.fixture(scope="module")
def month(folder: Path, request: pytest.FixtureRequest) -> Iterator[Month]:
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    for name in ("here", "there"):
        (folder / name).mkdir()
    assert main(["keys", "new", "seoul", "--dir", "site", "--documents", "plans/sealing.yaml"]) == 0
    always = request.config.getoption("--sweep")
    made = Month(folder, BEGIN, (lambda _moment: True) if always else busy_hours)
    patch.setattr("aegis_plan.cli.applying.carry_out", made.carry_out)
    patch.setattr("aegis_plan.actions.backup.driver", lambda engine: _Driver(made.server, engine))
    from aegis_plan.stores.milvus.spec import SPEC as MILVUS
    from aegis_plan.stores.neo4j.spec import SPEC as NEO4J

    patch.setattr(type(MILVUS), "built", True)
    patch.setattr(type(NEO4J), "built", True)
    made.server.kill.add(DIES)
    made.add("seoul")
    made.clock.sleep(5)
    made.add("busan")
    made.run_until(END)
    yield made
    patch.undo()


def due_moments(schedule: str, begin: datetime = BEGIN, end: datetime = END) -> list[datetime]:
    found = []
    for moment in moments(schedule, "Europe/Berlin", begin):
        if moment >= end:
            return found
        found.append(moment)
    return found


def sets(month: Month, store: str) -> list[SetRecord]:
    return sorted((one for one in month.shelf(store).records if isinstance(one, SetRecord)), key=lambda one: one.begun)


def test_a_month_passes(month: Month) -> None:
    print(Counter(kind for _, kind, _, _ in month.told), month.runs)
    assert month.clock.now() >= END
