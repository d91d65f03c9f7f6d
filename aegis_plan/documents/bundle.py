"""The documents as one archive of the files as they are, and its digest that is the same wherever the folder lies. It
opens no file."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from aegis_plan.documents.digest import text
from aegis_plan.errors import DamageError

LARGEST = 64 << 20
"""Bytes of all files of an archive that is still unpacked."""


def revision(files: Mapping[str, bytes], variables: Mapping[str, str]) -> str:
    """Digest of the files, byte by byte, and of the values of variables that they are read with."""
    form = {
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "variables": dict(variables),
    }
    return hashlib.sha256(text(form).encode()).hexdigest()


def pack(files: Mapping[str, bytes]) -> bytes:
    """A compressed tar archive; same files, same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o600
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(out.getvalue(), mtime=0)


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of such an archive. Raises DamageError `bundle-unreadable` for anything but plain files with names
    below one folder."""
    found: dict[str, bytes] = {}
    left = LARGEST
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for entry in archive:
                path = PurePosixPath(entry.name)
                if not entry.isreg() or path.is_absolute() or ".." in path.parts or entry.name in found:
                    raise _unreadable(f"'{entry.name}' is no plain file below it, or stands there twice")
                left -= entry.size
                if left < 0:
                    raise _unreadable(f"its files have more than {LARGEST} bytes")
                content = archive.extractfile(entry)
                found[str(path)] = content.read() if content is not None else b""
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise _unreadable(str(error)) from None
    return found


def _unreadable(detail: str) -> DamageError:
    return DamageError(
        "bundle-unreadable",
        "an archive of documents cannot be read",
        detail,
        "it was damaged, or written by another program; use an earlier publication",
    )
