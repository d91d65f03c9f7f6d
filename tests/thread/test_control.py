"""Servers that are controlled by commands of one's own or by systemd: what a command says of itself is never believed.

No systemd runs in tests: the executable `systemctl` that is put on the PATH here stands in for systemd itself. It
starts and stops the real server of its one unit, and writes down how it was called.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.servers.postgresql import Server
from tests.thread.damage import flat
from tests.thread.history import protected_again
from tests.thread.world import Ran, World

UNIT = "postgresql@18-main"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def pg_ctl(server: Server, words: str) -> str:
    """A line that does it as the server's own user."""
    line = f'"{server.binaries}/pg_ctl" -D "{server.data}" -l "{server.log}" -w {words}'
    # The world's own folders have spaces in their names; the server's have none.
    return f"setpriv --reuid {server.user} --regid {server.user} --clear-groups {line}" if server.user else line


def declared(made: World, control: str) -> None:
    path = made.plans / "aegis.yaml"
    text = path.read_text()
    place = f'binaries: "{made.server.binaries}", run_as'
    assert place in text
    path.write_text(text.replace(place, f'binaries: "{made.server.binaries}", control: {control}, run_as'))


class Own:
    """Commands of one's own, each a script that a test may replace; with what was called."""

    def __init__(self, made: World) -> None:
        self.folder = made.server.folder.parent / "control"
        self.folder.mkdir()
        self.called = self.folder / "called"
        self.called.touch()
        server = made.server
        self.write("start", pg_ctl(server, "start"))
        self.write("stop", pg_ctl(server, "-m fast stop"))
        self.write("status", f"{pg_ctl(server, 'status')} >/dev/null")
        words = ", ".join(f'{word}: ["{self.folder}/{word}", now]' for word in ("start", "stop", "status"))
        declared(made, f"{{{words}, timeout: 3s}}")

    def write(self, word: str, text: str) -> None:
        script(self.folder / word, f'echo "{word} $@" >> {self.called}\n{text}')

    def calls(self) -> list[str]:
        return self.called.read_text().splitlines()


@pytest.fixture
def own(protected: World) -> tuple[World, Own]:
    made = Own(protected)
    return protected, made


def test_commands_of_ones_own_carry_a_restore(own: tuple[World, Own]) -> None:
    made, control = own
    rows = made.rows()
    made.ok("restore", "policy-db", "-y")
    assert made.rows() == rows
    calls = [call for call in control.calls() if not call.startswith("status")]
    assert calls == ["stop now", "start now"]
    protected_again(made)


def failing(made: World, *said: str) -> Ran:
    ran = made.aegis("restore", "policy-db", "-y", timeout=300)
    assert ran.code == 1, ran.text
    assert "Traceback" not in ran.text
    assert "action-crashed" not in ran.text
    for words in said:
        assert words in flat(ran), ran.text
    return ran


def serves(made: World, rows: list[tuple[object, ...]], pid: int | None = None) -> None:
    assert made.rows() == rows
    if pid is not None:
        assert made.server.pid == pid, "it was restarted"


def test_a_stop_that_does_not_stop(own: tuple[World, Own]) -> None:
    made, control = own
    rows, pid = made.rows(), made.server.pid
    control.write("stop", "echo because >&2; exit 0")
    failing(made, "server-stop-failed", "stop now` ended with 0: because", "still work in it")
    serves(made, rows, pid)


def test_a_stop_that_hangs(own: tuple[World, Own]) -> None:
    made, control = own
    rows, pid = made.rows(), made.server.pid
    path = made.plans / "aegis.yaml"
    control.write("stop", "exec sleep 300")
    path.write_text(path.read_text().replace("timeout: 3s", "timeout: 1s"))
    failing(made, "server-control-failed", "stop now` did not end within")
    serves(made, rows, pid)


def test_a_start_that_does_not_start(own: tuple[World, Own]) -> None:
    """The old data is put back, and that the server could not be started again is said, not passed over."""
    made, control = own
    rows = made.rows()
    control.write("start", "exit 0")
    ran = made.aegis("restore", "policy-db", "-y", timeout=300)
    assert ran.code in (1, 7), ran.text
    assert "server-start-failed" in ran.text
    assert "start now` ended well, and 3 s later no server works in its data directory" in flat(ran)
    assert "Applied" not in ran.text
    assert made.server.pid is None
    made.server.start()
    serves(made, rows)


def test_a_start_that_says_why_not(own: tuple[World, Own]) -> None:
    made, control = own
    control.write("start", "echo no licence >&2; exit 4")
    ran = made.aegis("restore", "policy-db", "-y", timeout=300)
    assert ran.code in (1, 7), ran.text
    assert "start now` ended with 4: no licence" in flat(ran)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exec sleep 300", "status now` did not end within 3 s"),
        ("exit 1", "ends with neither 0 nor 3"),
        ("exit 0", "still says that it runs"),
    ],
    ids=["hangs", "another code", "always 0"],
)
def test_a_status_that_is_of_no_use(own: tuple[World, Own], text: str, said: str) -> None:
    """With the server dead nothing but the command tells, and a server that may run is not replaced."""
    made, control = own
    made.server.kill()
    before = sorted(entry.name for entry in made.server.data.iterdir())
    control.write("status", text)
    failing(made, said)
    assert sorted(entry.name for entry in made.server.data.iterdir()) == before
    assert "start now" not in control.calls()


def test_a_command_that_is_not_there(own: tuple[World, Own]) -> None:
    made, control = own
    rows, pid = made.rows(), made.server.pid
    (control.folder / "start").unlink()
    failing(made, "server-control-failed", "start now` cannot be run")
    serves(made, rows, pid)
    assert "stop now" not in control.calls()


def systemctl(made: World, start: str = "", stop: str = "") -> Path:
    """The stand-in for systemd: one folder with `systemctl`, put first on the PATH; gives its list of calls."""
    folder = made.server.folder.parent / "systemd"
    folder.mkdir(exist_ok=True)
    server, called = made.server, folder / "called"
    script(
        folder / "systemctl",
        f"""echo "$@" >> {called}
if [ "$2" != {UNIT} ]; then echo "Failed to $1 $2.service: Unit $2.service not found." >&2; exit 5; fi
case "$1" in
start) {start or pg_ctl(server, "start")} ;;
stop) {stop or pg_ctl(server, "-m fast stop")} ;;
*) exit 1 ;;
esac""",
    )
    made.environment["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return called


def test_a_unit_of_systemd(protected: World) -> None:
    made, rows = protected, protected.rows()
    declared(made, f'"systemd:{UNIT}"')
    called = systemctl(made)
    made.ok("restore", "policy-db", "-y")
    assert made.rows() == rows
    assert called.read_text().splitlines() == [f"stop {UNIT}", f"start {UNIT}"]
    made.server.kill()
    called.unlink()
    made.ok("apply", "-y", "--scenario", "database-failure")
    assert made.rows() == rows
    assert called.read_text().splitlines() == [f"start {UNIT}"]


def test_a_unit_that_systemd_does_not_know(protected: World) -> None:
    made, rows, pid = protected, protected.rows(), protected.server.pid
    declared(made, '"systemd:postgres"')
    systemctl(made)
    failing(made, "server-stop-failed", "Unit postgres.service not found")
    serves(made, rows, pid)


def test_a_unit_that_claims_to_have_started(protected: World) -> None:
    """As the umbrella unit of Debian does, which is active whatever becomes of the servers."""
    made = protected
    declared(made, f'"systemd:{UNIT}"')
    systemctl(made, start="exit 0")
    made.server.kill()
    failing(made, "server-start-failed", f"systemctl start {UNIT}` ended well", "no server works in its data directory")


def test_no_systemd_on_the_host(protected: World) -> None:
    made, rows, pid = protected, protected.rows(), protected.server.pid
    declared(made, f'"systemd:{UNIT}"')
    bare = made.server.folder.parent / "bare"
    bare.mkdir()
    made.environment["PATH"] = str(bare)
    assert shutil.which("systemctl", path=str(bare)) is None
    failing(made, "server-control-failed", f"systemctl start {UNIT}` cannot be run", "this host has no systemd")
    serves(made, rows, pid)
