"""What a site's daemon has to keep running (`declared.json`) and what it says it does (`daemon.json`).

Both are files in the site's folder; looking at them writes nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aegis_plan.errors import DamageError

FORMAT = 1
DECLARED = "declared.json"
DAEMON = "daemon.json"
LOCK = "daemon.lock"


def running(folder: Path) -> bool:
    """Whether a daemon of this site runs: it holds its lock as long as it lives."""
    try:
        fd = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def daemon(folder: Path) -> dict[str, Any] | None:
    """What the daemon says it does; None when it does not run, whatever an old file says."""
    if not running(folder):
        return None
    try:
        found = json.loads((folder / DAEMON).read_bytes())
    except (OSError, ValueError):
        return {"streams": {}}
    return found if isinstance(found, dict) else {"streams": {}}


def streams(folder: Path) -> dict[str, dict[str, Any]]:
    """The streams that are declared at this site, by store. Raises DamageError `declared-unreadable`."""
    path = folder / DECLARED
    try:
        data = json.loads(path.read_bytes())
        found = data["streams"]
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise ValueError
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        raise DamageError(
            "declared-unreadable",
            "what the site's daemon has to do cannot be read",
            str(path),
            "move the file away and apply a plan again: it declares the streams anew",
        ) from None
    return found


@contextmanager
def changing(folder: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """The declared streams, to be changed within; written whole when it ends well."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(folder / (DECLARED + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        found = streams(folder)
        yield found
        write(folder / DECLARED, {"format": FORMAT, "oldest_reader": 1, "streams": found})
    finally:
        os.close(fd)


def write(path: Path, data: dict[str, Any]) -> None:
    """Replaces a file at once or not at all."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(json.dumps(data, sort_keys=True).encode())
        stream.flush()
        os.fsync(stream.fileno())
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
