"""Whether a process that was written down is still that very process, and not another one with its number."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path


@functools.cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""


def started(pid: int) -> str | None:
    """A mark of when the process began, the same for its whole life; None when there is none or it is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _by_ps(pid)
    except OSError:
        return None
    # The name of the program may hold blanks and brackets: count from the last bracket.
    fields = text.rpartition(b")")[2].split()
    if fields[0] in (b"Z", b"X"):
        return None
    # Ticks since boot mean nothing without the boot.
    return f"{_boot()}:{fields[19].decode()}"


def _by_ps(pid: int) -> str | None:
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def alive(pid: int, start: str) -> bool:
    """Whether the process with this number began at `start`."""
    return started(pid) == start


def group(pgid: int, open_file: Path | None = None) -> list[int]:
    """Processes of a process group; with `open_file` only those that hold this file open."""
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc/self").exists() else ():
        if not entry.name.isdigit():
            continue
        try:
            if os.getpgid(int(entry.name)) != pgid or started(int(entry.name)) is None:
                continue
            if open_file is None or holds(int(entry.name), open_file):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def holds(pid: int, file: Path) -> bool:
    """Whether the process holds the file open, as far as this user may see."""
    try:
        wanted = file.stat()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                seen = entry.stat()
            except OSError:
                continue
            if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    except OSError:
        return False
    return False
