"""Timers of other programs name the same moments as the product, in its time zone; systemd itself reads them."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aegis_plan.catalog.due import next_moment
from aegis_plan.documents.load import load
from aegis_plan.schedule.export import Place, cron, cron_line, daemons, kubernetes, on_calendar, systemd
from tests.plan.world import documents
from tests.servers import unavailable

PLANS = Path(__file__).parent.parent.parent / "plans" / "aegis"
PLACE = Place("/usr/bin/aegis", "/etc/aegis/my documents", "aegis", "aegis-plan:1")
SCHEDULES = (
    "*/15 * * * *", "0 2 * * 0", "0 2 * * 1-6", "30 4 1,15 * *", "0 2 1 */3 *", "15 3 1 * 1", "0 0 * * 7",
    "5 1-3 * 6 *", "0 12 * * MON-FRI",
)  # fmt: skip
ZONE = "Europe/Berlin"


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        unavailable("systemd-analyze is not installed")
    assert found is not None
    return found


def elapses(analyze: str, calendar: str, base: datetime) -> list[datetime]:
    """When systemd would start it, in UTC."""
    done = subprocess.run(
        [analyze, "calendar", "--iterations=4", f"--base-time={base:%Y-%m-%d %H:%M:%S} UTC", calendar],
        capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    times = [line.partition(": ")[2] for line in done.stdout.splitlines() if "elapse:" in line or "Iter." in line]
    return [datetime.strptime(text[4:23], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for text in times]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_systemd_names_the_same_moments(analyze: str, schedule: str) -> None:
    base = datetime(2026, 11, 2, 5, 0, 1, tzinfo=UTC)  # no clock is moved in the weeks that follow
    found = sorted({at for one in on_calendar(schedule) for at in elapses(analyze, f"{one} {ZONE}", base)})[:4]
    wanted: list[datetime] = []
    after = base
    while len(wanted) < 4:
        moment = next_moment(schedule, ZONE, after)
        assert moment is not None
        wanted.append(moment)
        after = moment
    assert found == wanted


def test_units_are_sound(analyze: str, tmp_path: Path) -> None:
    loaded = load(PLANS)
    place = Place("/bin/true", str(tmp_path), "root", sites={"seoul": "/etc/aegis/seoul.yaml"})
    files = systemd(loaded.documents, place) | daemons(loaded.documents, place)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [analyze, "verify", *(str(tmp_path / name) for name in files)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "aegis" in line]
    assert done.returncode == 0, done.stderr
    assert said == []
    assert len([name for name in files if name.endswith(".timer")]) == 4
    timer = files["aegis-aegis-policy-db-log.timer"]
    assert "OnCalendar=*-*-* *:00,15,30,45:00 Asia/Seoul" in timer
    assert "Persistent=true" in timer


def test_jitter_goes_along() -> None:
    files = systemd(documents(schedule={"jitter": "5m"}), PLACE)
    timers = [text for name, text in files.items() if name.endswith(".timer")]
    assert timers
    assert all("RandomizedDelaySec=300\nFixedRandomDelay=true" in text for text in timers)


def test_cron_names_zone_user_and_command() -> None:
    ((name, text),) = cron(load(PLANS).documents, PLACE).items()
    assert name == "aegis-aegis"
    assert "CRON_TZ=Asia/Seoul" in text.splitlines()
    assert "For /etc/cron.d" in text, "it names the account, as a crontab of one account must not"
    jobs = [line for line in text.splitlines() if line[:1] in "0123456789*"]
    assert len(jobs) == 5
    for line in jobs:
        assert line.split()[5] == "aegis"
        assert "cd '/etc/aegis/my documents' && /usr/bin/aegis backup" in line
    assert [" ".join(line.split()[:5]) for line in jobs] == [
        "0 2 * * 0", "0 2 * * 1-6", "*/15 * * * *", "0 3 * * *", "0 4 * * *",
    ]  # fmt: skip


def test_cronjobs_parse_and_name_the_zone() -> None:
    ((_, text),) = kubernetes(load(PLANS).documents, PLACE).items()
    found: list[Any] = list(YAML(typ="safe").load_all(text))
    assert len(found) == 5
    assert len({one["metadata"]["name"] for one in found}) == 5
    for one in found:
        assert one["spec"]["timeZone"] == "Asia/Seoul"
        assert one["spec"]["concurrencyPolicy"] == "Forbid"
        assert len(one["metadata"]["name"]) <= 52
        (container,) = one["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["args"][:3] == ["backup", container["args"][1], "--due"]
    assert [one["spec"]["schedule"] for one in found] == [
        "0 2 * * 0", "0 2 * * 1-6", "*/15 * * * *", "0 3 * * *", "0 4 * * *",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "plain"),
    [
        ("0 2 * * 0", "0 2 * * 0"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 2 L * *", "0 2 * * *"),
        ("0 2 * * 5#2", "0 2 * * *"),
        ("0 12 * * MON-FRI", "0 12 * * MON-FRI"),
    ],
)
def test_what_only_some_crons_know_becomes_more_often(schedule: str, plain: str) -> None:
    assert cron_line(schedule) == plain
    # Whatever the product calls due, the plain schedule calls at that very moment.
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(30):
        moment = next_moment(schedule, ZONE, at)
        assert moment is not None
        assert next_moment(plain, ZONE, moment - timedelta(seconds=1)) == moment
        at = moment
