"""What this host says of a folder and of who owns it, for checks of what may be written. It changes nothing."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def read_only(folder: Path) -> bool:
    """Whether the file system below is mounted so that nobody writes."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def owner(uid: int) -> str:
    """The name of an account, or its number where the host has no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"
