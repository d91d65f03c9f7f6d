"""Whether a running server has the settings and grants that the declared backups need. It asks, and changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aegis_plan.documents.model import Backup
from aegis_plan.errors import AegisError
from aegis_plan.requirement import Requirement, unverified
from aegis_plan.stores.postgresql.check_login import Party, grants, network, replication
from aegis_plan.stores.postgresql.connection import Connection, ask
from aegis_plan.stores.postgresql.facts import slot_name
from aegis_plan.stores.postgresql.model import FIRST_INCREMENTAL
from aegis_plan.stores.postgresql.replication import Replication
from aegis_plan.stores.postgresql.settings import configuration, setting
from aegis_plan.stores.postgresql.slot import read_slot

OLDEST = 150000
"""The first version whose BASE_BACKUP takes the options that are sent."""
_LIMIT = "8GB"


@dataclass
class Seen:
    """What the server told of itself, for those who look at its host."""

    version: int = 0
    data_directory: str = ""
    hba_file: str = ""
    libraries: str = ""
    size: int | None = None
    tablespaces: dict[str, str] | None = None
    """Object id to place. None where the server did not tell: that is not the same as none."""
    replica: bool = False
    read: bool = False
    command_line: dict[str, str] = field(default_factory=dict)
    """Settings that it was started with, which no configuration file says."""


class _Inside:
    """Paths within the data directory, which a base backup sends."""

    def __contains__(self, path: object) -> bool:
        return not str(path).startswith("/")


@dataclass
class Server:
    """One look over one session."""

    sql: Connection
    text: str
    who: Party
    where: str
    subject: str
    store: str
    backup: Backup | None
    read: bool
    """Whether backups are read from this member as things are."""
    check: Callable[[], None]
    seen: Seen = field(default_factory=Seen)
    found: list[Requirement] = field(default_factory=list)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is declared of this store."""
        declared = self.backup
        if declared is None:
            return ()
        log = declared.log
        given = (declared.full, declared.incremental, log, log if log is not None and log.stream else None)
        named = zip(("full", "incremental", "log", "stream"), given, strict=True)
        return tuple(kind for kind, one in named if one is not None) or ("full",)

    def need(self, code: str, fine: bool, summary: str, *kinds: str, **more: Any) -> None:
        """`more` is told only where it is not so."""
        lacking = {} if fine else more
        severity = lacking.pop("severity", "breach" if self.read else "warning")
        if not fine and not self.read and severity == "warning":
            lacking["hint"] = f"{lacking.get('hint', '')}; this member is read only after a switch to it".lstrip("; ")
        self.found.append(
            Requirement(
                code=code,
                state="ok" if fine else "missing",
                severity=severity,
                summary=summary,
                subject=self.subject,
                needed_for=tuple(kind for kind in kinds if kind in self.kinds or kind == "restore"),
                **lacking,
            )
        )

    def look(self) -> None:
        """Fills `seen` and `found`. Raises what a session that breaks raises."""
        said = self._settings()
        self.seen.replica = said["replica"]
        self._spaces()
        if not self._new_enough(said):
            return
        if not self.kinds:
            return
        self._replicate(said)
        self._log(said)
        self._incremental(said)
        self._configuration()

    def _spaces(self) -> None:
        """What its host is looked at for. What is not told stays unknown, and is told there."""
        with contextlib.suppress(AegisError):
            rows = ask(self.sql, "SELECT sum(pg_database_size(oid))::bigint FROM pg_database", self.where)
            self.seen.size = int(rows[0][0])
        with contextlib.suppress(AegisError):
            query = "SELECT oid::text, pg_tablespace_location(oid) FROM pg_tablespace WHERE oid >= 16384"
            self.seen.tablespaces = dict(ask(self.sql, query, self.where))

    def _settings(self) -> dict[str, Any]:
        row = ask(
            self.sql,
            "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), rolsuper, rolreplication,"
            " current_setting('wal_level'), current_setting('max_wal_senders')::int,"
            " current_setting('max_replication_slots')::int,"
            " (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),"
            " current_setting('summarize_wal', true), current_setting('data_checksums'),"
            " current_setting('wal_log_hints'), host(inet_client_addr()),"
            " (SELECT count(*) FROM pg_replication_slots),"
            " (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size')"
            " FROM pg_roles WHERE rolname = current_user",
            self.where,
        )[0]
        names = (
            "version", "replica", "super", "attribute", "wal_level", "senders", "slots", "keep", "summarize",
            "checksums", "hints", "client", "slots_used", "segment",
        )  # fmt: skip
        said = dict(zip(names, row, strict=True))
        self.seen.version = said["version"]
        self.seen.data_directory = setting(self.sql, "data_directory", self.where) or ""
        self.seen.hba_file = setting(self.sql, "hba_file", self.where) or self.seen.hba_file
        self.seen.libraries = setting(self.sql, "shared_preload_libraries", self.where) or ""
        if said["client"]:
            self.who = Party(self.who.role, self.who.database, (network(said["client"]),), self.who.password)
        return said

    def _new_enough(self, said: dict[str, Any]) -> bool:
        fine = bool(said["version"] >= OLDEST)
        self.need(
            "server-too-old", fine, f"PostgreSQL {OLDEST // 10000} or later", *self.kinds,
            detail=f"the server is PostgreSQL {said['version'] // 10000}",
            hint="upgrade the server; this version of aegis cannot back it up",
        )  # fmt: skip
        return fine

    def _replicate(self, said: dict[str, Any]) -> None:
        own = "usename = current_user AND application_name LIKE 'aegis%'"
        used, ours = ask(
            self.sql, f"SELECT count(*), count(*) FILTER (WHERE {own}) FROM pg_stat_replication", self.where
        )[0]
        wanted = 2 if "log" in self.kinds else 1
        free = said["senders"] - used + ours
        more = max(10, used - ours + wanted)
        self.need(
            "wal-senders-exhausted", free >= wanted, f"max_wal_senders has {wanted} free for aegis",
            "full", "incremental", "log", "stream",
            detail=f"max_wal_senders is {said['senders']}, {used - ours} are used by others",
            sql=(f"ALTER SYSTEM SET max_wal_senders = {more};",), effect="restart",
        )  # fmt: skip
        self.need(
            "wal-level-minimal", said["wal_level"] != "minimal", "wal_level is replica or logical",
            "full", "incremental", "log", "stream", detail="wal_level is minimal",
            sql=("ALTER SYSTEM SET wal_level = 'replica';",), effect="restart",
        )  # fmt: skip
        error: AegisError | None = None
        try:
            with Replication(self.text, self.where, self.check) as wire:
                wire.rows("IDENTIFY_SYSTEM")
        except AegisError as refused:
            error = refused
        may = bool(said["attribute"] or said["super"])
        for one in replication(error, may, self.who, self.seen.hba_file, self.subject, self.kinds):
            if one.code == "hba-replication-line-missing" and one.state == "could_not_verify" and free < wanted:
                continue  # the finding above says why
            self.found.append(one if self.read else one.model_copy(update={"severity": "warning"}))

    def _log(self, said: dict[str, Any]) -> None:
        if self.backup is None or self.backup.log is None:
            return
        name = slot_name(self.store, self.backup)
        try:
            slot = read_slot(self.sql, name, self.where)
        except AegisError as error:
            self.need(
                error.code, False, f"the slot {name} is free for aegis", "log", "stream", detail=error.detail,
                hint="name another slot under backup.log.slot",
            )  # fmt: skip
            return
        self.need(
            "replication-slots-exhausted", slot is not None or said["slots_used"] < said["slots"],
            "max_replication_slots has one for aegis", "log", "stream",
            detail=f"max_replication_slots is {said['slots']}, and {said['slots_used']} are used",
            sql=(f"ALTER SYSTEM SET max_replication_slots = {max(10, said['slots'] + 2)};",), effect="restart",
        )  # fmt: skip
        self.need(
            "slot-without-limit", said["keep"] != -1 or self.backup.log.accept_unlimited_slot,
            "max_slot_wal_keep_size has a limit", "log", "stream",
            detail="without a limit a slot that nobody reads keeps log until the disk is full",
            hint="choose what the disk can spare; or accept it with backup.log.accept_unlimited_slot: true",
            sql=(f"ALTER SYSTEM SET max_slot_wal_keep_size = '{_LIMIT}';",), effect="reload",
        )  # fmt: skip
        least = 2 * said["segment"] // 2**20
        if said["keep"] != -1:
            self.need(
                "slot-limit-too-small", said["keep"] >= least, "max_slot_wal_keep_size holds two segments of the log",
                "log", "stream",
                detail=f"it is {said['keep']} MB, and a segment has {least // 2} MB: the slot is lost with the next "
                "checkpoints, and the log gets a hole",
                hint="choose what the disk can spare",
                sql=(f"ALTER SYSTEM SET max_slot_wal_keep_size = '{_LIMIT}';",), effect="reload",
            )  # fmt: skip
        if slot is not None:
            self.need(
                "slot-lost", slot.wal_status != "lost", f"the slot {name} still has its log", "log", "stream",
                severity="warning",  # the next backup mends it, and must not wait for this
                detail="the server gave up log that the slot had to keep: what was not archived is missing, and "
                "nothing is archived until the slot is made anew",
                hint="'aegis plan' and 'aegis apply' make the slot anew and take a full, from which the log is whole "
                "again; then raise max_slot_wal_keep_size, or archive more often",
            )  # fmt: skip

    def _incremental(self, said: dict[str, Any]) -> None:
        covered = said["checksums"] == "on" or said["hints"] == "on"
        if "incremental" not in self.kinds:
            if not covered:
                self.need(
                    "data-checksums-off", False, "data checksums are on", "full", severity="note",
                    detail="damage of a page that the disk makes stays unseen until somebody reads it",
                    hint="pg_checksums --enable, while the server is stopped",
                )  # fmt: skip
            return
        new = said["version"] >= FIRST_INCREMENTAL
        self.need(
            "incremental-by-pages", new, "PostgreSQL 17 or later", "incremental", severity="note",
            detail=f"PostgreSQL {said['version'] // 10000} takes no incremental backups: all of it is read and sent "
            "for each, and only the pages that changed are stored",
            hint="nothing has to be done; a later version reads only what changed",
        )  # fmt: skip
        if not new:
            return
        self.need(
            "summarize-wal-off", said["summarize"] == "on", "summarize_wal is on", "incremental",
            detail="without it each incremental reads the whole server",
            sql=("ALTER SYSTEM SET summarize_wal = on;",), effect="reload",
        )  # fmt: skip
        self.need(
            "hint-bits-not-logged", covered, "data checksums or wal_log_hints are on", "incremental",
            detail="without either an incremental may miss changes, so each reads the whole server",
            hint="or pg_checksums --enable, while the server is stopped",
            sql=("ALTER SYSTEM SET wal_log_hints = on;",), effect="restart",
        )  # fmt: skip

    def _configuration(self) -> None:
        """Configuration outside the data directory comes along only where the role may see and read it."""
        visible = bool(self.seen.data_directory)
        self.need(
            "settings-not-visible", visible, f"role {self.who.role} sees where the configuration is", "restore",
            detail="data_directory and hba_file are hidden from it, so that configuration outside is not backed up",
            sql=grants(self.who)[:1], database=self.who.database,
        )  # fmt: skip
        lacks: list[tuple[str, str]] = []
        outside = False
        if visible:
            paths = [setting(self.sql, name, self.where) for name in ("config_file", "hba_file", "ident_file")]
            base = self.seen.data_directory.rstrip("/") + "/"
            outside = any(path and not path.startswith(base) for path in paths)
            configuration(self.sql, self.where, _Inside(), lambda path, why: lacks.append((path, why)))
        if visible and not outside and not lacks:
            return
        rights = ask(
            self.sql,
            "SELECT pg_has_role(current_user, 'pg_read_server_files', 'USAGE'),"
            " has_function_privilege('pg_read_binary_file(text)', 'EXECUTE')",
            self.where,
        )[0]
        self.need(
            "server-files-not-readable", rights[0], f"role {self.who.role} may read files of the server", "restore",
            detail="configuration outside the data directory is not backed up without it",
            sql=grants(self.who)[1:2], database=self.who.database,
        )  # fmt: skip
        self.need(
            "read-function-not-granted", rights[1], f"role {self.who.role} may call pg_read_binary_file", "restore",
            detail="configuration outside the data directory is not backed up without it",
            sql=grants(self.who)[2:],
            database=self.who.database,
        )  # fmt: skip
        if all(rights) and visible:
            self.need(
                "configuration-not-read", not lacks, "configuration outside the data directory can be read", "restore",
                detail="; ".join(f"{path}: {why}" for path, why in lacks[:5]),
                hint="let the server's account read these files",
            )  # fmt: skip


def could_not_ask(error: AegisError | str, subject: str, kinds: Sequence[str]) -> Requirement:
    """What takes the place of all that a server would have told. A restore needs it as well: version, size, places."""
    return unverified(
        "server-not-asked", "settings and grants are as the backups need them", error, subject,
        needed_for=tuple(dict.fromkeys((*kinds, "restore"))),
    )  # fmt: skip
