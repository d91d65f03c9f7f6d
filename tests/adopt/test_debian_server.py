"""A server as Debian's package sets it up is adopted by what the tool itself says, word by word, and nothing else."""

from __future__ import annotations

import os
import pwd
import subprocess

from tests.adopt.rig import adopting
from tests.servers.postgresql import PASSWORD, user
from tests.thread.damage import flat


def test_from_a_running_server_to_a_proved_restore() -> None:
    with adopting() as it:
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
        assert "Everything that is declared can work" in flat(it.ok("check"))
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
