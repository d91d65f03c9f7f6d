"""The lock of a resource: a file lock that effect-carrying children inherit, so that an orphan still holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from urllib.parse import quote


def path(folder: Path, resource: str) -> Path:
    return folder / "locks" / quote(resource, safe="")


class ResourceLock:
    """A held lock. `release` lets go also for programs that inherited it and are still running on purpose."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def release(self) -> None:
        if self.fd >= 0:
            fcntl.flock(self.fd, fcntl.LOCK_UN)
            os.close(self.fd)
            self.fd = -1


def take(folder: Path, resource: str) -> ResourceLock | None:
    """The lock, or None when somebody holds it."""
    file = path(folder, resource)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return ResourceLock(fd)


def held(folder: Path, resource: str) -> bool:
    """Whether somebody holds the lock; makes nothing."""
    try:
        fd = os.open(path(folder, resource), os.O_RDWR | os.O_CLOEXEC)
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
