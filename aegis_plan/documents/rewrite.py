"""Replaces the text of a file in one move: whoever is interrupted, or finds the disk full, leaves the old one whole.
Mode, owner and extended attributes stay, and a link goes on pointing to the file."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from aegis_plan.errors import AegisError


def rewrite(path: Path, before: bytes, after: bytes) -> None:
    """Puts `after` in the place of `before`.

    Raises AegisError `file-not-written`, and `file-changed` when the file no longer holds `before`."""
    target = Path(os.path.realpath(path))
    beside: str | None = None
    replaced = False
    try:
        # A rename would succeed on a file that its owner protected from writing.
        if not os.access(target, os.W_OK):
            raise PermissionError(1, "it is not writable for this user")
        # A hidden name without the ending of a document: nobody reads it if it is left behind.
        descriptor, beside = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(after)
            file.flush()
            _same_rights(target, descriptor)
            os.fsync(descriptor)
        if target.read_bytes() != before:
            raise AegisError(
                "file-changed",
                "a file changed while it was worked on",
                f"{path} holds something else now",
                "save it, then run the command again",
            )
        os.replace(beside, target)
        beside, replaced = None, True
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise AegisError(
            "file-not-written",
            "a file cannot be written",
            f"{path}: {error.strerror}",
            "it was replaced, and a power cut may take that back" if replaced else "the file is as it was",
        ) from None
    finally:
        if beside is not None:
            Path(beside).unlink(missing_ok=True)


def _same_rights(target: Path, descriptor: int) -> None:
    old, new = target.stat(), os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError as error:
            raise PermissionError(error.errno, "its owner could not be kept; run this as its owner") from None
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    if hasattr(os, "listxattr"):
        try:
            for name in os.listxattr(target):
                os.setxattr(descriptor, name, os.getxattr(target, name))
        except OSError:
            pass  # a file system without them, or a label that only the system sets
