"""Looks at a PostgreSQL server that nobody declared yet: what documents say of it. It changes nothing there."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pwd
import re
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import pq

from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import command_line
from aegis_plan.stores.postgresql.check_server import OLDEST
from aegis_plan.stores.postgresql.connection import Connection, ask, connect, pooler, prepared
from aegis_plan.stores.postgresql.control import processes
from aegis_plan.stores.postgresql.settings import setting

_FOLDERS = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin", "/usr/local/pgsql/bin")
_DEBIAN = re.compile(r"(?P<root>/.+)/(?P<version>\d+)/(?P<name>[^/]+)/postgresql\.conf")


@dataclass(frozen=True)
class Other:
    """Another server of the same store, as this one knows it."""

    name: str
    address: str
    """Host, or empty where it is this one's."""
    port: int | None
    role: str
    """`primary` or `replica`."""
    lag: int | None = None


@dataclass(frozen=True)
class Adopted:
    """One running server."""

    where: str
    host: str
    """How it was reached: a name, an address, or the folder of a Unix socket."""
    port: int
    database: str
    role: str
    superuser: bool
    version: int
    said: str
    """What `version()` says, shortened."""
    replica: bool
    here: bool
    """Whether it runs on this host."""
    data_directory: str
    config_file: str
    hba_file: str
    listen: str
    sockets: str
    timezone: str
    size: int | None
    databases: dict[str, int | None]
    tablespaces: dict[str, str]
    archive_mode: str
    archive_command: str
    settings: dict[str, str]
    checksums: bool
    others: tuple[Other, ...]
    binaries: str = ""
    """Empty where nothing shows it."""
    run_as: str = ""
    control: str | dict[str, list[str]] = "pg_ctl"
    options: str = ""
    members_unsure: bool = False
    """Whether there may be other servers of the same store that did not show."""
    command_line: dict[str, str] = field(default_factory=dict)
    """Settings that it was started with, which no configuration file says."""
    unsure: tuple[str, ...] = field(default=())
    """What has to be looked at again, in sentences."""

    @property
    def major(self) -> int:
        return self.version // 10000


def adopt(text: str) -> Adopted:
    """Looks over one session, and at this host where the server runs on it.

    Raises AegisError `not-postgresql`, `server-too-old`, `pooler-in-between`, `settings-not-visible`, and what
    `connection.connect` raises."""
    host, port, database, role = _ends(text)
    where = host if host.startswith("/") else f"{host}:{port}"
    with connect(text, where) as sql:
        if sql.info.backend_pid != ask(sql, "SELECT pg_backend_pid()", where)[0][0]:
            raise pooler(where)
        said = str(ask(sql, "SELECT version()", where)[0][0])
        if not said.startswith(("PostgreSQL ", "EnterpriseDB ")):
            raise AegisError(
                "not-postgresql",
                "something answers there that is no PostgreSQL",
                f"{where}: it calls itself {said[:60]}",
                "aegis backs up PostgreSQL itself, over its replication protocol",
            )
        # From here on the server itself refuses whatever would change it.
        sql.execute("SET default_transaction_read_only = on")
        sql.execute("SET statement_timeout = 10000")
        return _look(sql, where, host, port, database, role, said)


def _ends(text: str) -> tuple[str, int, str, str]:
    """Host, port, database and role, as libpq reads them: with its service and the environment."""
    conn = pq.PGconn.connect_start(prepared(text).encode())
    try:
        given = {option.keyword.decode(): option.val.decode() for option in conn.info if option.val is not None}
        message = conn.error_message.decode("utf-8", "replace")
    finally:
        conn.finish()
    if "definition of service" in message:
        from aegis_plan.stores.postgresql.connection import refused

        raise refused(message, "the service")
    host = (given.get("host") or given.get("hostaddr") or "").split(",")[0] or "/var/run/postgresql"
    port = (given.get("port") or "5432").split(",")[0] or "5432"
    return host, int(port), given.get("dbname") or "postgres", given.get("user") or ""


def _look(sql: Connection, where: str, host: str, port: int, database: str, role: str, said: str) -> Adopted:
    version = int(setting(sql, "server_version_num", where) or 0)
    if version < OLDEST:
        raise AegisError(
            "server-too-old",
            "the server is older than this version can back up",
            f"{where}: PostgreSQL {version // 10000}, and {OLDEST // 10000} is the first that works",
            "upgrade the server",
        )
    role, superuser = ask(sql, "SELECT rolname::text, rolsuper FROM pg_roles WHERE rolname = current_user", where)[0]
    data = setting(sql, "data_directory", where)
    if not data:
        raise AegisError(
            "settings-not-visible",
            "the role does not see where the configuration is",
            f"{where}: data_directory, config_file and hba_file are hidden from the role {role}",
            f"GRANT pg_monitor TO {role}; or look as a superuser, for example over the server's Unix socket",
        )
    config = setting(sql, "config_file", where) or f"{data}/postgresql.conf"
    names = ("wal_level", "max_wal_senders", "max_replication_slots", "max_slot_wal_keep_size", "summarize_wal")
    replica, address = ask(sql, "SELECT pg_is_in_recovery(), host(inet_server_addr())", where)[0]
    databases = dict(
        ask(
            sql,
            "SELECT datname::text, CASE WHEN has_database_privilege(datname, 'CONNECT') OR"
            " pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(oid)::bigint END"
            " FROM pg_database WHERE NOT datistemplate ORDER BY 1",
            where,
        )
    )
    here = _is_here(host, address, data)
    binaries, run_as, unsure = _programs(data, version // 10000, here)
    others, unseen = _others(sql, where, address or host, role)
    if replica and not unseen and not any(one.role == "primary" for one in others):
        unseen = (f"it is a replica, and the role {role} does not see of which server",)
    unsure = (*unsure, *unseen)
    control: str | dict[str, list[str]] = "pg_ctl"
    options = ""
    if here:
        control, options = _control(data, config, version // 10000)
    return Adopted(
        where=where, host=host, port=port, database=database, role=role, superuser=bool(superuser), version=version,
        said=" ".join(said.split()[:2]), replica=bool(replica), here=here, data_directory=data, config_file=config,
        hba_file=setting(sql, "hba_file", where) or "", listen=setting(sql, "listen_addresses", where) or "",
        sockets=(setting(sql, "unix_socket_directories", where) or "").split(",")[0].strip(),
        timezone=setting(sql, "TimeZone", where) or "UTC",
        size=None if None in databases.values() else sum(size or 0 for size in databases.values()),
        databases=databases,
        tablespaces=dict(ask(
            sql, "SELECT spcname::text, pg_tablespace_location(oid) FROM pg_tablespace WHERE oid >= 16384", where
        )),
        archive_mode=setting(sql, "archive_mode", where) or "unknown",
        archive_command=setting(sql, "archive_command", where) or setting(sql, "archive_library", where) or "",
        settings={name: found for name in names if (found := setting(sql, name, where)) is not None},
        checksums=setting(sql, "data_checksums", where) == "on",
        others=others, binaries=binaries, run_as=run_as, control=control, options=options,
        command_line={**(command_line.written(data) if here else {}), **command_line.told(sql, where)},
        members_unsure=bool(unseen), unsure=unsure,
    )  # fmt: skip


def _others(sql: Connection, where: str, own: str, role: str) -> tuple[tuple[Other, ...], tuple[str, ...]]:
    """The other servers of the store, and why some of them may not have shown."""
    found: list[Other] = []
    unseen: list[str] = []
    try:
        hidden = ask(sql, "SELECT count(*) FROM pg_stat_replication WHERE state IS NULL", where)[0][0]
        if hidden:
            unseen.append(
                f"{hidden} replication connections are hidden from the role {role}; as a superuser, or with"
                " pg_monitor, replicas show"
            )
        rows = ask(
            sql,
            "SELECT application_name, host(client_addr), state,"
            " pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
            " ELSE pg_current_wal_lsn() END, replay_lsn)::bigint FROM pg_stat_replication"
            " WHERE replay_lsn IS NOT NULL AND application_name <> 'aegis' ORDER BY 1, 2",
            where,
        )
        for name, address, _, lag in rows:
            found.append(Other(str(name or ""), _elsewhere(address, own), None, "replica", lag))
    except AegisError as error:
        unseen.append(f"its replicas could not be looked at: {error.detail or error.summary}")
    try:
        rows = ask(sql, "SELECT sender_host, sender_port FROM pg_stat_wal_receiver WHERE sender_host <> ''", where)
        found += [Other("primary", _elsewhere(host, own), port, "primary") for host, port in rows]
    except AegisError as error:
        unseen.append(f"the server that it follows could not be looked at: {error.detail or error.summary}")
    return tuple(found), tuple(" ".join(one.split()) for one in unseen)


def _elsewhere(address: str | None, own: str) -> str:
    """The address, or nothing where it is the server's own host."""
    if not address or address.startswith("/") or address == own:
        return ""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(address).is_loopback:
            return ""
    return address


def _is_here(host: str, address: str | None, data: str) -> bool:
    """Whether a process of this host works in the data directory; where nothing shows it, how it was reached."""
    if processes(data):
        return True
    if host.startswith(("/", "@")):
        return True
    with contextlib.suppress(ValueError):
        if address and ipaddress.ip_address(address).is_loopback and os.path.isdir(os.path.dirname(data)):
            return True
    with contextlib.suppress(OSError):
        own = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None)}
        return bool(address in own and os.path.isdir(os.path.dirname(data)))
    return False


def _programs(data: str, major: int, here: bool) -> tuple[str, str, tuple[str, ...]]:
    """Folder of the programs, the account, and what is not sure of them."""
    if not here:
        return "", "", ()
    unsure = []
    run_as = ""
    with contextlib.suppress(OSError, KeyError):
        run_as = pwd.getpwuid(os.stat(data).st_uid).pw_name
    for pid in processes(data):
        with contextlib.suppress(OSError, KeyError):
            run_as = run_as or pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_name
            program = os.readlink(f"/proc/{pid}/exe")
            if " (deleted)" in program:
                unsure.append("the server's programs were replaced since it started; restart it")
                continue
            return os.path.dirname(program), run_as, tuple(unsure)
    for folder in (one.format(major=major) for one in _FOLDERS):
        if os.access(f"{folder}/postgres", os.X_OK):
            return (
                folder,
                run_as,
                (*unsure, f"{folder} was found by its name; the running server was not seen to use it"),
            )
    found = shutil.which("pg_ctl")
    return (os.path.dirname(os.path.realpath(found)) if found else ""), run_as, tuple(unsure)


def _control(data: str, config: str, major: int) -> tuple[str | dict[str, list[str]], str]:
    """What starts and stops the server: the unit that it runs in, Debian's tool, or pg_ctl with its options."""
    for pid in processes(data):
        with contextlib.suppress(OSError):
            unit = re.search(r"/([^/\n]+\.service)", Path(f"/proc/{pid}/cgroup").read_text())
            if unit and "postgres" in unit.group(1):
                return f"systemd:{unit.group(1).removesuffix('.service').replace(chr(92) + 'x2d', '-')}", ""
    debian = _DEBIAN.fullmatch(config)
    if debian and debian["version"] == str(major) and shutil.which("pg_ctlcluster"):
        if debian["root"] == "/etc/postgresql" and os.path.isdir("/run/systemd/system"):
            return f"systemd:postgresql@{debian['version']}-{debian['name']}", ""
        root = [] if debian["root"] == "/etc/postgresql" else ["env", f"PG_CLUSTER_CONF_ROOT={debian['root']}"]
        tool = [*root, "pg_ctlcluster", debian["version"], debian["name"]]
        return {word: [*tool, word] for word in ("start", "stop", "status")}, ""
    outside = not config.startswith(data.rstrip("/") + "/")
    return "pg_ctl", f"-c config_file={config}" if outside else ""
