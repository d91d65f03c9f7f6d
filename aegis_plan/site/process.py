"""External programs of one attempt: process groups of their own that hold the resource's lock and are written down
before they begin. None outlives the attempt unless it left its group by itself."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from aegis_plan.actions.contract import Finished, StopAsked
from aegis_plan.errors import AegisError
from aegis_plan.site.alive import started
from aegis_plan.site.talk import Talk

GRACE_SECONDS = 10.0
"""Between asking a group to end and killing it."""
_GATE = 'IFS= read -r go && exec "$@"'
"""The program begins only after its number is in the ledger: if we die before that, the shell ends by itself."""


class Program:
    """A program that is still running, or ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        return self.process.poll()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def wait(self, timeout: float) -> int | None:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def end(self, timeout: float = 60.0) -> int:
        """Asks the program to end and, after `timeout` seconds, kills its group."""
        self.signal(signal.SIGTERM)
        if self.wait(timeout) is None:
            kill_group(self.pid, signal.SIGKILL)
        return self.process.wait()


class SiteChildren:
    """Starts programs for one attempt. `record` gets pid and start mark before the program begins."""

    def __init__(
        self, stopping: Callable[[], bool], record: Callable[[int, str], None] | None = None, lock: int | None = None
    ) -> None:
        self._stopping = stopping
        self._record = record
        self._lock = lock
        self._running: list[Program] = []
        self._guard = threading.Lock()

    def run(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        input: bytes | None = None,
        timeout: float | None = None,
    ) -> Finished:
        """Raises AegisError `program-missing`, `program-user`, `program-timed-out`; StopAsked."""
        program = self._open(command, user, env, cwd, subprocess.PIPE, subprocess.PIPE)
        limit = None if timeout is None else time.monotonic() + timeout
        talk = Talk(program.process, b"go\n" + (input or b""))
        try:
            while not talk.step():
                if self._stopping():
                    raise StopAsked
                if limit is not None and time.monotonic() > limit:
                    raise AegisError(
                        "program-timed-out",
                        "a program did not end in time and was ended",
                        f"{command[0]} took longer than {timeout:g} s",
                        "give it more time, or see what it waits for",
                    )
        finally:
            if program.poll() is None:
                end_group(program)
            talk.close()
            with self._guard, suppress(ValueError):
                self._running.remove(program)
        return Finished(program.process.wait(), talk.out(), talk.err())

    def start(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
    ) -> Program:
        """Raises AegisError `program-missing` and `program-user`."""
        if log is None:
            program = self._open(command, user, env, cwd, subprocess.DEVNULL, subprocess.DEVNULL)
        else:
            with log.open("ab") as stream:
                program = self._open(command, user, env, cwd, stream, subprocess.STDOUT)
        assert program.process.stdin is not None
        with suppress(BrokenPipeError):
            program.process.stdin.write(b"go\n")
            program.process.stdin.close()
        return program

    def end(self) -> None:
        """Ends whatever still runs."""
        with self._guard:
            left = [program for program in self._running if program.poll() is None]
            self._running.clear()
        for program in left:
            end_group(program)

    def _open(
        self,
        command: Sequence[str],
        user: str | None,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
    ) -> Program:
        environment = dict(os.environ if env is None else env)
        if shutil.which(command[0], path=environment.get("PATH")) is None:
            raise AegisError(
                "program-missing",
                "a program cannot be found at this site",
                f"{command[0]} is not there or may not be run",
                "install it, or give its whole path",
            )
        account = _account(user)
        process = subprocess.Popen(
            ["/bin/sh", "-c", _GATE, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            pass_fds=() if self._lock is None else (self._lock,),
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if account else None,
        )
        program = Program(process)
        try:
            if self._record is not None:
                self._record(process.pid, started(process.pid) or "")
        except BaseException:
            process.kill()
            process.wait()
            raise
        with self._guard:
            self._running.append(program)
        return program


def kill_group(pgid: int, number: int) -> None:
    """Signals a group; success when it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)


def end_group(program: Program, grace: float = GRACE_SECONDS) -> None:
    """Asks the group of a program to end, then kills it."""
    kill_group(program.pid, signal.SIGTERM)
    program.wait(grace)
    kill_group(program.pid, signal.SIGKILL)
    program.process.wait()


def _account(user: str | None) -> pwd.struct_passwd | None:
    """The account to switch to, or None when we are it."""
    if user is None:
        return None
    summary = "a program cannot run as the user that is declared"
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        detail = f"there is no user '{user}' at this site"
        raise AegisError("program-user", summary, detail, "correct run_as, or make the user") from None
    if account.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        detail = f"this site runs as user id {os.geteuid()} and cannot become '{user}'"
        raise AegisError("program-user", summary, detail, "run the site's programs as that user or as root")
    return account
