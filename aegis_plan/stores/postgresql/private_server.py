"""A server of ours that works on staged data behind a private socket while it recovers to a target. It never archives,
never listens elsewhere and never outlives the step that started it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from aegis_plan.actions.contract import Child, Context, work_folder
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.control import last_fatal, postmaster, processes
from aegis_plan.stores.postgresql.control_file import Cluster
from aegis_plan.stores.postgresql.model import ReplayParams
from aegis_plan.stores.postgresql.offer import check_libraries, listed
from aegis_plan.stores.programs import account, execute

_SUPERUSER = "select rolname from pg_catalog.pg_roles where rolsuper and rolcanlogin order by oid limit 1"


@dataclass(frozen=True)
class Goal:
    """One way to tell the server where to stop."""

    setting: str
    value: str
    until: int
    """The replayed position has to reach this; 0 where only time counts."""
    inclusive: bool = True


@dataclass
class PrivateServer:
    """The server on its private socket; `start` again with other settings as often as its log demands."""

    context: Context
    params: ReplayParams
    where: places.Layout
    found: Cluster
    folder: Path = field(init=False)
    child: Child | None = None
    user: str = ""

    def __post_init__(self) -> None:
        # A socket's path may have 107 bytes, so that the site's own folder is often too deep for it.
        self.folder = Path(tempfile.mkdtemp(prefix="aegis-", dir="/tmp"))
        ids = account(self.params.place.run_as)
        for name, text in (("postgresql.conf", ""), ("pg_hba.conf", "local all all trust\n"), ("pg_ident.conf", "")):
            (self.folder / name).write_text(text)
            if ids:
                os.chown(self.folder / name, *ids)
        if ids:
            os.chown(self.folder, *ids)
        self.log = work_folder(self.context) / f"{self.context.attempt.step}.replay.log"

    def settings(self, goal: Goal | None, raised: dict[str, int]) -> dict[str, str]:
        """What it is started with; `raised` are settings that the log demands to be higher than the host's own."""
        spool = shlex.quote(str(self.where.spool)).replace("%", "%%")
        chosen = {
            "config_file": str(self.folder / "postgresql.conf"),
            "hba_file": str(self.folder / "pg_hba.conf"),
            "ident_file": str(self.folder / "pg_ident.conf"),
            "unix_socket_directories": str(self.folder),
            "external_pid_file": "",
            "listen_addresses": "",
            "port": "5432",
            "ssl": "off",
            "archive_mode": "off",
            "hot_standby": "on",
            "logging_collector": "off",
            "log_destination": "stderr",
            "log_min_messages": "warning",
            "lc_messages": "C",
            "max_replication_slots": "0" if goal is None else "10",
            "shared_preload_libraries": preload(self.params, self.where),
            # Of no use to a replay; and one that is missing here would refuse every connection.
            "session_preload_libraries": "",
            "local_preload_libraries": "",
            "autovacuum": "off",
            **self.found.kept,
        }
        for name, value in {**self.found.settings, **raised}.items():
            chosen[name] = str(max(value, {"max_connections": 20}.get(name, 0)))
        if goal is not None:
            copy = f'test -f {spool}/%f || exit 1; cp -- {spool}/%f "%p" || exit 200'
            chosen |= {
                "restore_command": copy,
                "recovery_target_timeline": str(self.params.timeline),
                "recovery_target_action": "pause",
                "recovery_target_inclusive": "on" if goal.inclusive else "off",
                goal.setting: goal.value,
            }
        return chosen

    def start(self, goal: Goal | None, raised: dict[str, int]) -> None:
        """Starts it towards a goal; without one it goes on where it was promoted to."""
        end_private(self.where.staging)
        self.log.unlink(missing_ok=True)
        command = [f"{self.params.place.binaries}/postgres", "-D", str(self.where.staging)]
        for name, value in self.settings(goal, raised).items():
            command += ["-c", f"{name}={value}"]
        self.child = self.context.children().start(
            command,
            user=self.params.place.run_as,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"},
            cwd=Path("/"),
            log=self.log,
        )

    @contextlib.contextmanager
    def connect(self, database: str = "") -> Iterator[psycopg.Connection[Any]]:
        """A connection as a superuser of the cluster. Raises psycopg.OperationalError while it does not accept one,
        AegisError `no-superuser-found` when nobody who may log in is known."""
        first = self.context.declared.stores[self.params.store]
        names = [self.user] if self.user else ["postgres", self.params.place.run_as or "postgres"]
        if not self.user:
            for member in first.members.values():
                with contextlib.suppress(AegisError, psycopg.Error):
                    known = psycopg.conninfo.conninfo_to_dict(self.context.secrets.text(member.connection))
                    names.append(str(known.get("user") or "postgres"))
        last: psycopg.OperationalError | None = None
        for name in dict.fromkeys(names):
            try:
                with psycopg.connect(
                    host=str(self.folder),
                    port=5432,
                    user=name,
                    dbname=database or "template1",
                    autocommit=True,
                    connect_timeout=10,
                    application_name="aegis",
                    password="",
                ) as connection:
                    if not self.user:
                        row = connection.execute(_SUPERUSER).fetchone()
                        self.user = row[0] if row else name
                        if self.user != name:
                            with self.connect(database) as better:
                                yield better
                            return
                    yield connection
                    return
            except psycopg.OperationalError as error:
                if "role" not in str(error) or "does not exist" not in str(error):
                    raise
                last = error
        raise AegisError(
            "no-superuser-found",
            "nobody is known who may log in to the restored server",
            f"tried {', '.join(dict.fromkeys(names))}",
            "let the connection of one member name a superuser",
        ) from last

    def died(self) -> str | None:
        """What the server said when it ended by itself; None while it runs."""
        assert self.child is not None
        if self.child.poll() is None:
            return None
        return last_fatal(self.log) or "it said nothing"

    def stop(self) -> None:
        """Stops it cleanly where that is possible."""
        if self.child is not None and self.child.poll() is None:
            self.child.signal(signal.SIGINT)
            if self.child.wait(120.0) is None:
                self.child.end(5.0)
        end_private(self.where.staging)

    def close(self) -> None:
        """Stops it and removes its socket and configuration; its log stays with the run."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def end_private(staging: Path) -> None:
    """Ends whatever server still works in a staged directory: only ours can, it is in nobody's configuration."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        note, alive = postmaster(staging), processes(staging)
        if not alive:
            return
        for pid in [note.pid] if note and note.pid in alive else alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        for _ in range(100):
            if not processes(staging):
                return
            time.sleep(0.1)


def preload(params: ReplayParams, where: places.Layout) -> str:
    """The libraries that the set's configuration preloads: replay may need them. Raises AegisError
    `preload-library-missing`."""
    if not (where.staging / "postgresql.conf").exists():
        return ""
    postgres = f"{params.place.binaries}/postgres"
    code, text, _ = execute(
        [postgres, "-D", str(where.staging), "-C", "shared_preload_libraries"], run_as=params.place.run_as
    )
    names = listed(text) if code == 0 else []
    check_libraries(params.place.binaries, names)
    return ",".join(names)
