"""Whether the site of a member could restore onto it: programs, accounts, folders, room. It only looks."""

from __future__ import annotations

import os
import pwd
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from aegis_plan.documents.scalars import sized
from aegis_plan.errors import AegisError
from aegis_plan.repositories.folders import owner, read_only
from aegis_plan.requirement import Requirement, unverified
from aegis_plan.stores.fields import Control
from aegis_plan.stores.postgresql import command_line
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.check_server import Seen
from aegis_plan.stores.postgresql.control import check_control, commanded, processes
from aegis_plan.stores.postgresql.model import Place, Server
from aegis_plan.stores.postgresql.offer import check_libraries, listed
from aegis_plan.stores.programs import account, execute

_PROGRAMS = ("postgres", "pg_ctl", "pg_controldata", "pg_waldump")
_FOR = ("restore",)


def host(server: Server, seen: Seen, keep: str, subject: str) -> list[Requirement]:
    """What a restore in place needs of this host. `seen` is what the server told, where it told anything."""
    return list(_Host(server, seen, keep, subject).look())


class _Host:
    def __init__(self, server: Server, seen: Seen, keep: str, subject: str) -> None:
        self.server, self.seen, self.keep, self.subject = server, seen, keep, subject
        self.folder = Path(os.path.realpath(server.data_directory))

    def look(self) -> Iterator[Requirement]:
        yield from self._binaries()
        yield from self._account()
        yield from self._directory()
        yield from self._control()
        yield from self._places()
        yield from self._room()

    def _one(self, code: str, fine: bool, summary: str, detail: str = "", hint: str = "", *shell: str) -> Requirement:
        if fine:
            detail, hint, shell = "", "", ()
        return Requirement(
            code=code, state="ok" if fine else "missing", summary=summary, subject=self.subject, needed_for=_FOR,
            detail=detail, hint=hint, commands=shell,
        )  # fmt: skip

    def _binaries(self) -> Iterator[Requirement]:
        folder = Path(self.server.binaries)
        lacking = [name for name in _PROGRAMS if not os.access(folder / name, os.X_OK)]
        yield self._one(
            "binaries-missing", not lacking, f"the programs of PostgreSQL are in {folder}",
            f"missing or not executable: {', '.join(lacking)}", "install them, or correct `binaries` of the server",
        )  # fmt: skip
        if "postgres" in lacking:
            return
        title = "the programs are of the server's version"
        try:
            _, said, _ = execute([f"{folder}/postgres", "--version"], timeout=5.0)
        except AegisError as error:
            yield unverified("binaries-wrong-version", title, error, self.subject, needed_for=_FOR)
            return
        major = re.search(r"\) (\d+)", said)
        have = int(major.group(1)) if major else 0
        want = self.seen.version // 10000 or _written(self.folder)
        if not want:
            yield unverified(
                "binaries-wrong-version", title, "the server's version is not known", self.subject, needed_for=_FOR
            )
            return
        yield self._one(
            "binaries-wrong-version", have == want, title, f"{folder} holds {have or 'something else'}, it is {want}",
            f"install PostgreSQL {want} and let `binaries` point to it",
        )  # fmt: skip
        try:
            check_libraries(self.server.binaries, listed(self.seen.libraries))
        except AegisError as error:
            yield self._one(error.code, False, "every library that it preloads is there", error.detail, error.hint)

    def _given(self) -> Iterator[Requirement]:
        """A start by pg_ctl gives what is declared, and not what somebody typed once."""
        given = {**command_line.written(self.folder), **self.seen.command_line}
        title = "pg_ctl starts it with the options that it has now"
        try:
            lacks = command_line.lacking(self.server, given)
        except AegisError as error:
            yield self._one(error.code, False, title, error.detail, error.hint)
            return
        port, sockets, options = command_line.fields(lacks)
        ways = (("port", port), ("socket_directory", sockets), ("options", options and f'"{options}"'))
        yield self._one(
            "command-line-not-declared", not lacks, title,
            "it was started with " + ", ".join(f"{name}={value}" for name, value in lacks.items())
            + "; a restored server would listen elsewhere or run with other settings",
            "add to the server: " + "; ".join(f"{name}: {value}" for name, value in ways if value)
            + ("; options that are there stay" if options and self.server.options else ""),
        )  # fmt: skip

    def _account(self) -> Iterator[Requirement]:
        run_as = self.server.run_as
        title = f"the site may work as {run_as}" if run_as else "the site runs as the account of the server"
        try:
            account(run_as)
        except AegisError as error:
            yield self._one(error.code, False, title, error.detail, error.hint or "correct `run_as` of the server")
            return
        as_root = run_as is None and os.geteuid() == 0
        yield self._one(
            "run-as-missing", not as_root, title, "the site runs as root, and PostgreSQL refuses to",
            "add `run_as: postgres` to the server",
        )  # fmt: skip
        try:
            uid = self.folder.stat().st_uid
        except OSError:
            return
        wanted = pwd.getpwnam(run_as).pw_uid if run_as else os.geteuid()
        if not as_root:
            yield self._one(
                "run-as-differs", uid == wanted, "the data directory belongs to that account",
                f"{self.folder} belongs to {owner(uid)}, the server would run as {owner(wanted)}",
                f"write `run_as: {owner(uid)}`",
            )  # fmt: skip

    def _directory(self) -> Iterator[Requirement]:
        told = self.seen.data_directory
        if told:
            same = os.path.realpath(told) == str(self.folder)
            yield self._one(
                "data-directory-differs", same, "the data directory is the one that the server has",
                f"the documents say {self.server.data_directory}, the server says {told}",
                f"write `data_directory: {told}`: a restore would replace another server's data",
            )  # fmt: skip
        title = "the site can read the data directory"
        if self.folder.is_dir() and os.access(self.folder, os.R_OK | os.X_OK):
            yield self._one("data-directory-unreadable", True, title)
        elif self.folder.exists() or not _visible(self.folder):
            yield self._one(
                "data-directory-unreadable", False, title,
                f"{self.folder} may not be read by {owner(os.geteuid())}",
                f"run the site as {self.server.run_as or 'the account of the server'} or as root",
            )  # fmt: skip
        else:
            yield self._one(
                "data-directory-missing", False, title, f"{self.folder} is not on this host",
                "correct `data_directory`, or the member's site",
            )  # fmt: skip

    def _control(self) -> Iterator[Requirement]:
        server = self.server
        title = "the site can start and stop the server"
        try:
            check_control(server)
        except AegisError as error:
            if error.code == "server-state-unknown":
                yield unverified(error.code, title, error, self.subject, needed_for=_FOR)
            else:
                yield self._one(error.code, False, title, error.detail, error.hint)
            return
        running = bool(processes(server.data_directory))
        if server.control == "pg_ctl":
            named = re.search(r"config_file=(\S+)", server.options)
            config = Path(named.group(1).strip("'\"")) if named else self.folder / "postgresql.conf"
            if _visible(config.parent):
                yield self._one(
                    "configuration-missing", config.exists(), "pg_ctl finds the server's configuration",
                    f"{config} is not there", "name it in `server.options`: -c config_file=PATH",
                )  # fmt: skip
            yield self._one("server-control-failed", True, title)
            yield from self._given()
            return
        if not running:
            yield unverified(
                "control-differs", title, "no server is seen to run, so nothing shows what the commands are about",
                self.subject, needed_for=_FOR,
            )  # fmt: skip
            return
        try:
            code, said = commanded(server, "status", 10.0)
        except AegisError as error:
            yield self._one(error.code, False, title, error.detail, error.hint)
            return
        word = shlex.join(server.control.status) if isinstance(server.control, Control) else server.control
        yield self._one(
            "control-differs", code == 0, "`control` is about this very server",
            f"a server runs in {self.folder}, and {word} ends with {code}{': ' + said if said else ''}",
            "correct `control` of the server: a restore would stop another one, or none",
        )  # fmt: skip
        if not isinstance(server.control, Control) and os.geteuid() != 0:
            yield unverified(
                "control-not-allowed", title, f"whether {owner(os.geteuid())} may run systemctl, polkit decides",
                self.subject, needed_for=_FOR,
                hint="run the site as root, or give it a rule of polkit for this unit and try it once by hand",
            )  # fmt: skip

    def _places(self) -> Iterator[Requirement]:
        mounted = places.mounted(self.folder)
        folder = self.folder if mounted else self.folder.parent
        yield from self._writable(folder, "restored data can be staged beside the old")
        if not mounted:
            within = places.mounted_within(self.folder)
            yield self._one(
                "mount-within", not within, "no folder within the data directory is a mount point", ", ".join(within),
                "mount it elsewhere and put a link to it in its place",
            )  # fmt: skip
        if self.seen.tablespaces is None:
            yield unverified(
                "place-not-writable", "tablespaces can be staged beside the old",
                "the server did not tell whether it has tablespaces", self.subject, needed_for=_FOR,
                hint="start the server, or mend its login, and look again",
            )  # fmt: skip
        for oid, location in sorted((self.seen.tablespaces or {}).items()):
            place = Place(binaries=self.server.binaries, data_directory=self.server.data_directory, member="x")
            final = places.tablespace_final(place, oid, location)
            yield from self._writable(final.parent, f"tablespace {oid} can be staged beside the old")
            if places.mounted(final):
                yield self._one(
                    "tablespace-is-mount-point", False, f"tablespace {oid} can be moved aside", str(final),
                    "mount that disk higher up, and keep the tablespace in a folder on it",
                )  # fmt: skip

    def _writable(self, folder: Path, title: str) -> Iterator[Requirement]:
        if not _visible(folder):
            yield unverified(
                "place-not-writable", title, f"{folder} cannot be looked at by {owner(os.geteuid())}", self.subject,
                needed_for=_FOR,
            )  # fmt: skip
            return
        fine = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and not read_only(folder)
        yield self._one(
            "place-not-writable", fine, title,
            f"{owner(os.geteuid())} may not write into {folder}" if folder.is_dir() else f"{folder} is no folder",
            "give that folder to the account of the site, or run the site as root",
        )  # fmt: skip

    def _room(self) -> Iterator[Requirement]:
        title = "there is room for restored data"
        where = places.Layout(self.folder, self.folder, self.folder, places.mounted(self.folder))
        try:
            free = places.free_bytes(where)
        except OSError as error:
            yield unverified(
                "no-space", title, f"{self.folder.parent}: {error.strerror}", self.subject, needed_for=_FOR
            )
            return
        if self.seen.size is None:
            yield unverified(
                "no-space", title, f"{sized(free)} are free; the size of the databases is not known", self.subject,
                needed_for=_FOR,
            )  # fmt: skip
            return
        spare = 64 << 20
        beside = self.keep == "beside"
        have = free if beside else free + self.seen.size
        yield self._one(
            "no-space", have >= self.seen.size + spare, title,
            f"{sized(free)} are free at {self.folder.parent}, the databases have {sized(self.seen.size)}",
            "make room; or keep_old_data: PATH on another disk; or plan with --give-up-old-data",
        )  # fmt: skip


def _written(folder: Path) -> int:
    try:
        return int((folder / "PG_VERSION").read_text())
    except (OSError, ValueError):
        return 0


def _visible(path: Path) -> bool:
    """Whether we may know if it is there at all."""
    try:
        path.stat()
    except PermissionError:
        return False
    except OSError:
        return True
    return True
