"""The files that keys are in and named by: private halves, the site file, the section `sealing` of the documents."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aegis_plan.errors import AegisError

if TYPE_CHECKING:
    from aegis_plan.documents.edit import Text
    from aegis_plan.site.sitefile import SiteFile


def private(path: Path, text: str) -> None:
    """Writes a new file that only its owner can read. Raises AegisError `keys-exist`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _exists(path) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def fresh(*paths: Path) -> None:
    """Holds that none of the files is there. Raises AegisError `keys-exist`."""
    for path in paths:
        if path.exists():
            raise _exists(path)


def _exists(path: Path) -> AegisError:
    return AegisError(
        "keys-exist",
        "keys are never overwritten",
        f"{path} exists",
        "choose another place; data that was sealed to a key can be read with that key only",
    )


def dated(folder: Path, name: str, ending: str) -> Path:
    """A new name with today's date in it."""
    today = f"{name}-{datetime.now().astimezone():%Y%m%d}"
    numbers = (f"{today}{'' if number == 1 else f'-{number}'}{ending}" for number in range(1, 1000))
    return next(folder / found for found in numbers if not (folder / found).exists())


def sealing_text(*below: str) -> tuple[Path, bytes, Text]:
    """The document that holds a key of the section `sealing`: path, bytes, and text to change.

    Raises AegisError `text-not-editable`."""
    from aegis_plan.cli.documents import documents_folder
    from aegis_plan.documents.edit import Text
    from aegis_plan.documents.load import document_files, read_document

    for path in document_files(documents_folder()):
        before = read_document(path)
        text = Text(str(path), before.decode("utf-8-sig"))
        if text.has("sealing", *below):
            return path, before, text
    raise AegisError(
        "text-not-editable",
        "a file cannot be changed by this command",
        f"no document holds sealing.{'.'.join(below)} as it stands",
        "make the change by hand; nothing was changed",
    )


def add_voucher(text: Text, voucher: str) -> None:
    """Adds a voucher to the section. Raises AegisError `text-not-editable`."""
    if text.has("sealing", "vouchers"):
        text.add(["sealing", "vouchers"], voucher)
    else:
        text.put(["sealing"], "vouchers", f'["{voucher}"]', before="host_recipients")


def change_sealing(path: Path, before: bytes, text: Text) -> None:
    """Writes the changed document. Raises AegisError `file-not-written`, `file-changed`."""
    from aegis_plan.documents.rewrite import rewrite

    rewrite(path, before, text.text.encode())


def change_site_file(file: SiteFile, signing: str = "", identity: str = "") -> None:
    """Names another signing key, or a further identity, in a site file. Raises AegisError `text-not-editable`."""
    from aegis_plan.documents.edit import Text
    from aegis_plan.documents.rewrite import rewrite

    before = file.path.read_bytes()
    text = Text(str(file.path), before.decode())
    if signing and not file.signing_key:
        text.put([], "signing_key", f'"{signing}"')
    elif signing:
        text.replace(["signing_key"], file.signing_key, f'"{signing}"')
    if identity and text.has("identities"):
        text.add(["identities"], f'"{identity}"')
    elif identity:
        text.put([], "identities", f'["{identity}"]')
    rewrite(file.path, before, text.text.encode())
