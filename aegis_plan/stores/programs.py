"""Runs short programs of a server as the server's account.

What runs here inherits nothing of the site, so that its locks never live on in a server.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from aegis_plan.errors import AegisError


def account(run_as: str | None) -> tuple[int, int] | None:
    """User and group ids to work as, or None for our own. Raises AegisError `run-as-unknown`, `run-as-refused`."""
    if run_as is None:
        return None
    try:
        entry = pwd.getpwnam(run_as)
    except KeyError:
        raise AegisError(
            "run-as-unknown", "the account that runs the server does not exist here", f"account {run_as}"
        ) from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise AegisError(
            "run-as-refused",
            "this site may not work as the account that runs the server",
            f"it runs as user id {os.geteuid()}, the server as {run_as}",
            f"run the site as {run_as} or as root",
        )
    return entry.pw_uid, entry.pw_gid


def execute(
    command: Sequence[str], *, run_as: str | None = None, timeout: float = 60.0, env: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Runs a short program that inherits nothing of the site; gives code, output and errors, cut to 64 KiB each.

    Raises AegisError `program-missing`, `program-too-slow`."""
    ids = account(run_as)
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC", **(env or {})}
    # Output goes to files: a server that pg_ctl starts would keep a pipe open for as long as it lives.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            code = subprocess.run(  # the command is built by us, without a shell
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=timeout,
                env=environment,
                cwd="/",
                start_new_session=True,
                user=ids[0] if ids else None,
                group=ids[1] if ids else None,
                extra_groups=os.getgrouplist(run_as, ids[1]) if ids and run_as else None,
                check=False,
            ).returncode
        except (FileNotFoundError, PermissionError):
            raise AegisError(
                "program-missing", "a program cannot be run", command[0], "check `binaries` of the server"
            ) from None
        except subprocess.TimeoutExpired:
            raise AegisError(
                "program-too-slow", "a program did not end in time", f"{command[0]}, {timeout:g} s"
            ) from None
        texts = []
        for stream in (out, err):
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 65536))
            texts.append(stream.read().decode("utf-8", "replace"))
    return code, texts[0], texts[1]
