"""Reads PostgreSQL's `backup_manifest` and holds unpacked files against it: every file, its size and its CRC32C."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from aegis_plan.errors import DamageError


@dataclass(frozen=True)
class Entry:
    """One file as the server sent it."""

    size: int
    crc32c: str | None
    """As the manifest spells it; None where another algorithm or none was used."""


@dataclass(frozen=True)
class Manifest:
    """A whole manifest. Paths are relative to the data directory, tablespaces below `pg_tblspc/<oid>/`."""

    files: Mapping[str, Entry]
    system_identifier: str | None


def parse(data: bytes) -> Manifest:
    """Reads a manifest and proves its own checksum. Raises DamageError `manifest-damaged`."""

    def damaged(why: str) -> DamageError:
        return DamageError(
            "manifest-damaged",
            "the server's list of files in a backup is damaged",
            why,
            "another copy or an older backup set has to be used",
        )

    cut = data.rfind(b'"Manifest-Checksum"')
    try:
        content = json.loads(data)
    except ValueError:
        raise damaged("it is not JSON") from None
    if cut < 0 or hashlib.sha256(data[:cut]).hexdigest() != content.get("Manifest-Checksum"):
        raise damaged("its own checksum does not fit")
    files = {}
    for entry in content["Files"]:
        path = (
            entry["Path"]
            if "Path" in entry
            else bytes.fromhex(entry["Encoded-Path"]).decode("utf-8", "surrogateescape")
        )
        crc = entry.get("Checksum") if entry.get("Checksum-Algorithm") == "CRC32C" else None
        files[path] = Entry(size=entry["Size"], crc32c=crc)
    identifier = content.get("System-Identifier")
    return Manifest(files=files, system_identifier=str(identifier) if identifier is not None else None)


def spell(crc: int) -> str:
    """A CRC32C as PostgreSQL writes it into a manifest: the bytes of the number in little-endian order."""
    return crc.to_bytes(4, "little").hex()


@dataclass
class Checker:
    """Collects what was unpacked of one set and compares it with the manifest."""

    manifest: Manifest
    by_pages: bool = False
    """The manifest tells of whole files where the set holds some of their pages."""
    seen: set[str] = field(default_factory=set)
    rebuilt: set[str] = field(default_factory=set)
    """Files of which pages arrived; whether they are right shows only once the set is unpacked."""

    def file(self, path: str, size: int, crc: int) -> None:
        """One file arrived whole. Raises DamageError `file-differs`."""
        entry = self.manifest.files.get(path)
        if entry is None:
            if path.startswith("pg_wal/") or path in ("tablespace_map", "backup_manifest"):
                return
            raise DamageError("file-differs", "a backed-up file is not as the server sent it", f"{path} is not listed")
        if entry.size != size or (entry.crc32c is not None and entry.crc32c != spell(crc)):
            raise DamageError(
                "file-differs",
                "a backed-up file is not as the server sent it",
                f"{path}: {size} bytes, CRC32C {spell(crc)}; the manifest says {entry.size} and {entry.crc32c}",
            )
        self.seen.add(path)

    def increment(self, path: str, plain: str, size: int, crc: int) -> None:
        """Pages of a file arrived. Raises DamageError `file-differs`."""
        if not self.by_pages:
            self.file(path, size, crc)
            return
        if plain not in self.manifest.files:
            raise DamageError("file-differs", "a backed-up file is not as the server sent it", f"{plain} is not listed")
        self.rebuilt.add(plain)
        self.seen.add(plain)

    def finish(self) -> None:
        """All archives arrived. Raises DamageError `file-missing`."""
        missing = sorted(set(self.manifest.files) - self.seen)
        if missing:
            raise DamageError(
                "file-missing",
                "files of a backup are missing",
                f"{len(missing)} missing, the first is {missing[0]}",
                "another copy or an older backup set has to be used",
            )
