"""Who logs in at a server, and the role and lines of pg_hba.conf that let it in. It opens no session."""

from __future__ import annotations

import contextlib
import getpass
import ipaddress
import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from psycopg import pq

from aegis_plan.errors import AegisError
from aegis_plan.requirement import Requirement
from aegis_plan.stores.postgresql.connection import LoginRefusedError, prepared
from aegis_plan.stores.postgresql.control import processes
from aegis_plan.stores.postgresql.model import Server

_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_NEEDED = ("full", "incremental", "log", "stream")


@dataclass(frozen=True)
class Party:
    """The two ends of a connection, as libpq understands the connection string, its service and the environment."""

    role: str
    database: str
    addresses: tuple[str, ...]
    """Of this host as the server sees it; empty over a Unix socket."""
    password: bool
    """Whether the connection gives one."""

    @property
    def method(self) -> str:
        """Of a line that lets this party in."""
        if self.addresses or self.password:
            return "scram-sha-256"
        return "peer" if self.role == _me() else "scram-sha-256"

    def lines(self, database: str) -> tuple[str, ...]:
        """Lines of pg_hba.conf for a database, or for `replication`."""
        role = self.role if _WORD.fullmatch(self.role) else '"' + self.role.replace('"', '""') + '"'
        if not self.addresses:
            return (f"local   {database:<12} {role:<12} {self.method}",)
        return tuple(f"host    {database:<12} {role:<12} {address:<24} {self.method}" for address in self.addresses)

    @property
    def quoted(self) -> str:
        """The role as SQL spells it."""
        return self.role if _WORD.fullmatch(self.role) else '"' + self.role.replace('"', '""') + '"'

    @property
    def password_steps(self) -> tuple[str, ...]:
        return (f"\\password {self.quoted}",) if self.method != "peer" else ()


def party(text: str) -> Party:
    """Raises AegisError `connection-malformed`."""
    conn = pq.PGconn.connect_start(prepared(text).encode())
    try:
        given = {option.keyword.decode(): option.val.decode() for option in conn.info if option.val is not None}
        password = bool(conn.password)
    finally:
        conn.finish()
    hosts = [one for one in (given.get("hostaddr") or given.get("host") or "").split(",") if one]
    ports = [one for one in given.get("port", "").split(",") if one] or ["5432"]
    found: dict[str, None] = {}
    for number, host in enumerate(hosts):
        if not host.startswith(("/", "@")):
            found.update(dict.fromkeys(_seen_from(host, ports[min(number, len(ports) - 1)])))
    return Party(given.get("user") or _me(), given.get("dbname") or "postgres", tuple(found), password)


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())


def _seen_from(host: str, port: str) -> list[str]:
    """Our own addresses on the way to a host, as lines of pg_hba.conf write them. Sends nothing."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        for family, kind, number, _, place in socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, kind, number) as probe:
                probe.connect(place)
                found.append(network(str(probe.getsockname()[0])))
    return found or ["ADDRESS/32"]


def network(address: str) -> str:
    """One address as pg_hba.conf writes it."""
    plain = ipaddress.ip_address(address.split("%")[0])
    return f"{plain}/{plain.max_prefixlen}"


def hba_on_host(server: Server | None) -> str:
    """Where the running server reads its pg_hba.conf, as far as this host shows; empty where it does not."""
    if server is None:
        return ""
    base = Path(server.data_directory)
    named: str | None = None
    for pid in processes(base):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            # A backend shows its title instead of the words that it was started with.
            named = next((found[1] for word in words if (found := re.search(r"config_file=(\S+)", word))), named)
    config = Path(named) if named else base / "postgresql.conf"
    with contextlib.suppress(OSError):
        said = re.findall(r"(?m)^\s*hba_file\s*=?\s*'([^']*)'", config.read_text("utf-8", "replace"))
        return str(base / said[-1]) if said else str(base / "pg_hba.conf")
    return ""


def grants(who: Party) -> tuple[str, ...]:
    """What lets a role read configuration outside the data directory; in the database that it connects to."""
    return (
        f"GRANT pg_monitor TO {who.quoted};",
        f"GRANT pg_read_server_files TO {who.quoted};",
        f"GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO {who.quoted};",
    )


def refused_login(error: AegisError, who: Party, hba_file: str, outside: bool, subject: str) -> Requirement:
    """What lets the party in, for a login that was refused; with all that a new role needs, so that one look is
    enough. `outside`: configuration lies outside the data directory."""
    cause = error.cause if isinstance(error, LoginRefusedError) else "other"
    make = (f"CREATE ROLE {who.quoted} LOGIN REPLICATION;", *who.password_steps, *(grants(who) if outside else ()))
    sql: tuple[str, ...] = ()
    hba: tuple[str, ...] = ()
    codes: dict[str, tuple[str, str]] = {
        "no-role": ("role-missing", f"role {who.role} exists"),
        "password": ("login-refused", f"role {who.role} may log in with the password of the connection"),
        "no-password": ("password-missing", f"the connection of {who.role} gives its password"),
        "no-line": ("hba-line-missing", f"pg_hba.conf lets {who.role} in"),
        "rejected": ("hba-line-missing", f"pg_hba.conf lets {who.role} in"),
        "peer": ("hba-line-missing", f"pg_hba.conf lets {who.role} in"),
        "no-login": ("role-cannot-login", f"role {who.role} may log in"),
    }
    code, summary = codes.get(cause, ("login-refused", f"{who.role} may log in"))
    hint = "check the role, its password and pg_hba.conf of the server"
    if cause == "no-role":
        sql, hint = make, "make the role"
    elif cause == "password":
        sql = make
        hint = (
            "where the role is missing, make it; where it is there, leave the first line out; the password is the one "
            "that the connection gives"
        )
    elif cause == "no-password":
        hint = "put it where the connection's reference is resolved: password= in it, or a password file"
    elif cause == "no-login":
        sql, hint = (f"ALTER ROLE {who.quoted} LOGIN;",), "let it log in"
    elif cause in ("no-line", "rejected", "peer"):
        hba = who.lines("all")
        hint = "add the line above those that begin likewise: the first that fits decides"
    return Requirement(
        code=code, state="missing", summary=summary, subject=subject, needed_for=_NEEDED,
        detail=error.detail, hint=hint, sql=sql, hba=hba, hba_file=hba_file if hba else "",
        effect="reload" if hba else "", database=who.database if sql else "",
    )  # fmt: skip


def replication(
    error: AegisError | None, attribute: bool, who: Party, hba_file: str, subject: str, needed: Sequence[str]
) -> list[Requirement]:
    """The two halves of the right to replicate: the role's attribute and the line for `replication`."""
    found = [
        Requirement(
            code="replication-attribute-missing",
            state="ok" if attribute else "missing",
            summary=f"role {who.role} has REPLICATION",
            subject=subject,
            needed_for=tuple(needed),
            sql=() if attribute else (f"ALTER ROLE {who.quoted} REPLICATION;",),
            database="" if attribute else who.database,
            detail="" if attribute else "a base backup and the log are read over the replication protocol",
        )
    ]
    cause = error.cause if isinstance(error, LoginRefusedError) else ""
    line = cause in ("no-line", "rejected", "peer")
    state: Literal["ok", "missing", "could_not_verify"] = "missing" if line else "ok"
    detail = error.detail if error is not None and line else ""
    if error is not None and not line and cause != "attribute":
        state, detail = "could_not_verify", f"{error.summary}: {error.detail}"
    found.append(
        Requirement(
            code="hba-replication-line-missing",
            state=state,
            summary=f"pg_hba.conf lets {who.role} replicate",
            subject=subject,
            needed_for=tuple(needed),
            detail=detail,
            hint="add the line above those that begin likewise: the first that fits decides" if line else "",
            hba=who.lines("replication") if line else (),
            hba_file=hba_file if line else "",
            effect="reload" if line else "",
        )
    )
    return found
