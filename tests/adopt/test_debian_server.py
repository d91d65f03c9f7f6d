"""A server as Debian's package sets it up is adopted by what the tool itself says, word by word. Then each right, line
and setting that it lacks has a message of its own, and doing what that says mends it."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from aegis_plan.cli.wire import World, load_documents
from aegis_plan.observe.check import check
from aegis_plan.requirement import Requirement, exit_code
from aegis_plan.stores.postgresql.check_host import host
from aegis_plan.stores.postgresql.check_server import Seen
from aegis_plan.stores.postgresql.model import Server
from tests.adopt.rig import Adopting, adopting
from tests.servers.postgresql import PASSWORD, user


@pytest.fixture(scope="module")
def system() -> Iterator[Adopting]:
    with adopting() as it:
        yield it


def test_from_a_running_server_to_a_proved_restore(system: Adopting) -> None:
    it = system
    assert "The documents of shop are valid" in it.ok("validate").text
    first = it.check()
    assert first["exit_code"] == 3
    rounds = 0
    said = first
    while said["missing"] and rounds < 3:
        it.obey(said)
        said, rounds = it.check(), rounds + 1
    assert said["exit_code"] == 0, said
    assert rounds == 2, "the role first; what only a login shows after it"
    it.ok("apply", "-y")
    status = it.aegis("status")
    assert " protected" in status.text, status.text
    assert "unprotected" not in status.text, status.text
    rows = it.server.psql("SELECT count(*), sum(id) FROM orders;", database="shop")
    copy = it.folder.parent / "copy"
    it.ok("restore", "shop-db", "--beside", str(copy), "-y")
    assert _beside(copy, it.server.folder) == rows == "500|125250"
    assert not [text for text in it.outputs if PASSWORD in text]
    for path in it.folder.rglob("*.yaml"):
        assert PASSWORD not in path.read_text()


def _beside(data: object, home: object) -> str:
    """The rows of the restored copy, run on a socket of its own."""
    binaries = "/usr/lib/postgresql/15/bin"
    options = f"-c listen_addresses= -c unix_socket_directories={home} -p 1"
    name = user()
    # Debian's key for TLS may be read by a group of the account.
    groups = os.getgrouplist(name, pwd.getpwnam(name).pw_gid) if name else []
    who = {"user": name, "extra_groups": groups} if name else {}

    def run(*words: str) -> str:
        done = subprocess.run(
            words, stdout=subprocess.PIPE if words[0] == "psql" else subprocess.DEVNULL, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, cwd="/", check=True, **who,  # type: ignore[call-overload]
        )  # fmt: skip
        return str(done.stdout or "").strip()

    run(f"{binaries}/pg_ctl", "-D", str(data), "-w", "-o", options, "-l", f"{home}/copy.log", "start")
    try:
        return run("psql", "-XAtq", "-h", str(home), "-p", "1", "-d", "shop", "-c",
                   "SELECT count(*), sum(id) FROM orders")  # fmt: skip
    finally:
        run(f"{binaries}/pg_ctl", "-D", str(data), "-m", "immediate", "stop")


@dataclass
class Rig:
    """A server that lacks nothing, and one look that stays open."""

    it: Adopting
    world: World

    def found(self) -> list[Requirement]:
        return check(
            self.world.documents, self.world.dispatcher, self.world.clock, stores=["shop-db"], repositories=[], sites={}
        )

    def open(self) -> dict[str, Requirement]:
        """Code to what is not as it has to be, of what counts."""
        return {one.code: one for one in self.found() if one.counts}

    def sql(self, *lines: str) -> None:
        self.it.server.psql(*lines)

    def mend(self, one: Requirement) -> None:
        self.it.obey({"requirements": [one.model_dump(mode="json")]})


@pytest.fixture(scope="module")
def rig(system: Adopting) -> Iterator[Rig]:
    it, said = system, system.check()
    for _ in range(2):
        if said["missing"]:
            it.obey(said)
            said = it.check()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_DB", it.environment["SHOP_DB"])
        patch.chdir(it.folder)
        loaded = load_documents()
        world = World(loaded.documents, loaded.digest)
        try:
            made = Rig(it, world)
            assert made.open() == {}
            yield made
        finally:
            world.close()


def hba(rig: Rig, taken: str) -> None:
    """Lets everybody in who was let in before, but for what begins like `taken`."""
    file = rig.it.server.hba
    kept = [line for line in file.read_text().splitlines() if not line.startswith(taken)]
    file.write_text("\n".join(kept) + "\n")
    rig.sql("SELECT pg_reload_conf();")


RIGHTS = {
    "role": (("ALTER ROLE aegis RENAME TO gone;",), "login-refused"),
    "password": (("ALTER ROLE aegis PASSWORD 'another';",), "login-refused"),
    "login": (("ALTER ROLE aegis NOLOGIN;",), "role-cannot-login"),
    "replication": (("ALTER ROLE aegis NOREPLICATION;",), "replication-attribute-missing"),
    "monitor": (("REVOKE pg_monitor FROM aegis;",), "settings-not-visible"),
    "files": (("REVOKE pg_read_server_files FROM aegis;",), "server-files-not-readable"),
    "function": (
        ("REVOKE EXECUTE ON FUNCTION pg_read_binary_file(text) FROM aegis;",),
        "read-function-not-granted",
    ),
    "limit": (
        ("ALTER SYSTEM SET max_slot_wal_keep_size = -1;", "SELECT pg_reload_conf();"),
        "slot-without-limit",
    ),
    "small": (
        ("ALTER SYSTEM SET max_slot_wal_keep_size = '31MB';", "SELECT pg_reload_conf();"),
        "slot-limit-too-small",
    ),
}


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_alone(rig: Rig, right: str) -> None:
    take, code = RIGHTS[right]
    rig.sql(*take)
    lacks = rig.open()
    said = {other for other, one in lacks.items() if one.state == "missing"}
    assert said == {code}, lacks
    assert exit_code(lacks.values()) == 3
    if right == "password":
        # The first line makes the role; the message says to leave it out where the role is there.
        assert "leave the first line out" in lacks[code].hint
        rig.sql(f"ALTER ROLE aegis PASSWORD '{PASSWORD}';")
    else:
        rig.mend(lacks[code])
    if right == "role":
        rig.sql("DROP OWNED BY gone;", "DROP ROLE gone;")
    assert rig.open() == {}


@pytest.mark.parametrize(
    ("line", "code"), [("host    all", "hba-line"), ("host    replication", "hba-replication-line")]
)
def test_a_line_alone(rig: Rig, line: str, code: str) -> None:
    hba(rig, line)
    lacks = rig.open()
    said = [one for one in lacks.values() if one.state == "missing"]
    assert [one.code for one in said] == [f"{code}-missing"], lacks
    assert said[0].hba_file == str(rig.it.server.hba)
    rig.mend(said[0])
    assert rig.open() == {}


def test_settings_that_take_a_restart(rig: Rig) -> None:
    """PostgreSQL allows the minimal level only together with no senders and no slot at all."""
    rig.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots;")
    rig.sql(
        "ALTER SYSTEM SET max_replication_slots = 0;",
        "ALTER SYSTEM SET wal_level = 'minimal';",
        "ALTER SYSTEM SET max_wal_senders = 0;",
    )
    rig.it.server.restart()
    lacks = rig.open()
    assert set(lacks) == {"replication-slots-exhausted", "wal-level-minimal", "wal-senders-exhausted"}, lacks
    assert {one.effect for one in lacks.values()} == {"restart"}
    rig.it.obey({"requirements": [one.model_dump(mode="json") for one in lacks.values()]})
    assert rig.open() == {}


def test_nobody_there_is_no_right_that_is_missing(rig: Rig) -> None:
    rig.it.server.restart("stop")
    try:
        lacks = rig.open()
        assert {one.state for one in lacks.values()} == {"could_not_verify"}
        assert "restore" in lacks["server-not-asked"].needed_for
        spaces = {one.code: one.state for one in lacks.values() if "tablespaces" in one.summary}
        assert spaces == {"place-not-writable": "could_not_verify"}, "unknown ones do not pass for none"
        assert exit_code(lacks.values()) == 1
    finally:
        rig.it.server.ctl("start")


def test_a_folder_of_programs_of_another_version(rig: Rig) -> None:
    path = rig.it.folder / "plans" / "shop-db.yaml"
    text = path.read_text()
    try:
        path.write_text(text.replace("binaries: /usr/lib/postgresql/15/bin", "binaries: /usr/bin"))
        said = rig.it.check("shop-db")
    finally:
        path.write_text(text)
    missing = {one["code"] for one in said["requirements"] if one["state"] == "missing" and one["severity"] == "breach"}
    assert missing == {"binaries-missing"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"binaries": "/nowhere"}, "binaries-missing"),
        ({"run_as": "nobody-of-that-name"}, "run-as-unknown"),
        ({"run_as": "nobody"}, "run-as-differs"),
        ({"run_as": None}, "run-as-missing"),
        ({"control": {"start": ["true"], "stop": ["true"], "status": ["sh", "-c", "exit 3"]}}, "control-differs"),
        ({"control": {"start": ["no-such"], "stop": ["true"], "status": ["true"]}}, "server-control-failed"),
        ({"control": "pg_ctl"}, "configuration-missing"),
    ],
)
def test_its_host_lacks(rig: Rig, fields: dict[str, Any], code: str) -> None:
    declared = Server.model_validate({**rig.world.documents.stores["shop-db"].members["main-1"].server, **fields})
    found = host(
        declared, Seen(150000, declared.data_directory, size=1, tablespaces={}), "beside", "stores/shop-db/main-1"
    )
    assert {one.code for one in found if one.state == "missing"} == {code}
    assert {one.state for one in found} == {"ok", "missing"}


def test_its_host_has_another_size_and_place(rig: Rig) -> None:
    declared = Server.model_validate(rig.world.documents.stores["shop-db"].members["main-1"].server)
    large = host(declared, Seen(150000, declared.data_directory, size=1 << 60, tablespaces={}), "beside", "x")
    assert {one.code for one in large if one.state != "ok"} == {"no-space"}
    unknown = host(declared, Seen(150000, declared.data_directory), "beside", "x")
    assert {(one.code, one.state) for one in unknown if one.state != "ok"} == {
        ("no-space", "could_not_verify"),
        ("place-not-writable", "could_not_verify"),
    }
    other = host(declared, Seen(150000, "/another/place", size=1, tablespaces={}), "beside", "x")
    assert {one.code for one in other if one.state != "ok"} == {"data-directory-differs"}


def test_a_slot_that_was_lost(rig: Rig) -> None:
    rig.it.ok("apply", "-y")
    rig.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB';", "SELECT pg_reload_conf();")
    for _ in range(3):
        rig.sql("CREATE TABLE IF NOT EXISTS lost (n int);", "INSERT INTO lost VALUES (1);", "SELECT pg_switch_wal();")
        rig.sql("CHECKPOINT;")
    assert rig.it.server.psql("SELECT DISTINCT wal_status FROM pg_replication_slots;", database="postgres") == "lost"
    said = {one.code: one for one in rig.found() if one.state == "missing"}
    assert {"slot-limit-too-small", "slot-lost"} <= set(said)
    rig.mend(said["slot-limit-too-small"])
    assert rig.open() == {}, "what the next backup mends is in the way of nothing"
    assert "slot-lost" in {one.code for one in rig.found() if one.state == "missing"}
    rig.it.ok("apply", "-y")
    assert "slot-lost" not in {one.code for one in rig.found() if one.state == "missing"}
