"""Whose publications a machine believes that has nothing: signers that a person names, and those that the private key
itself vouches for. What lies in the bucket alone is never a reason to believe.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli.session import Session
from aegis_plan.cli.source import Source
from aegis_plan.errors import AegisError, UsageError

if TYPE_CHECKING:
    from aegis_plan.repositories.contract import Repository

SIGNER = re.compile(r"ed25519:[A-Za-z0-9+/]{43}=")
_IDENTITY = re.compile(r"AGE-SECRET-KEY-1[0-9A-Za-z]+")


def identities(session: Session, source: Source, kept: Path) -> tuple[str, ...]:
    """The private keys: of `--key`, AEGIS_KEY_FILE, AEGIS_KEY, an earlier invocation, or typed in.

    Raises UsageError `key-not-given`, AegisError `file-not-read`, `key-invalid`."""
    text, where = "", ""
    path = source.key or (Path(os.environ["AEGIS_KEY_FILE"]) if os.environ.get("AEGIS_KEY_FILE") else None)
    if path is None and not os.environ.get("AEGIS_KEY") and kept.exists():
        path = kept
    if path is not None:
        where = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise AegisError("file-not-read", "a file cannot be read", f"{path}: {reason}") from None
    elif os.environ.get("AEGIS_KEY"):
        text, where = os.environ["AEGIS_KEY"], "AEGIS_KEY"
    elif session.interactive:
        text, where = click.prompt("Private key (AGE-SECRET-KEY-1...)", hide_input=True, err=True), "what was typed"
    else:
        raise UsageError(
            "key-not-given",
            "there is no key to open the documents with",
            "neither --key nor AEGIS_KEY_FILE nor AEGIS_KEY gives one, and there is no terminal to ask at",
            "give the file of a recipient's key, or of the offline recovery key, with --key FILE",
        )
    lines = [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]
    found = tuple(dict.fromkeys(match.upper() for line in lines for match in _IDENTITY.findall(line)))
    if not found or not all(map(_usable, found)):
        raise AegisError(
            "key-invalid",
            "a private key cannot be used",
            f"{where} holds no line that is an age secret key",
            "it begins with AGE-SECRET-KEY-1 and stands on one line; see that it was copied whole",
        )
    return found


def _usable(identity: str) -> bool:
    import pyrage

    try:
        pyrage.x25519.Identity.from_str(identity)
    except pyrage.IdentityError:
        return False
    return True


def anchors(
    session: Session,
    source: Source,
    system: str,
    repository: Repository,
    keys: tuple[str, ...],
    kept: tuple[str, ...],
) -> tuple[str, ...]:
    """Public keys of signers that are believed. `--trust` alone counts where it is given.

    Raises UsageError `trust-missing`, `trust-invalid`."""
    from aegis_plan.repositories.publications import offered
    from aegis_plan.sealing.vouchers import vouched

    named = tuple(dict.fromkeys(signer for text in source.trust for signer in _named(text)))
    if named:
        return named
    offers = offered(system, {"": repository})
    found = vouched([voucher for one in offers for voucher in one.vouchers], keys)
    trusted = tuple(dict.fromkeys([*found, *kept]))
    if trusted:
        return trusted
    said = sorted({(site, signer) for one in offers for site, signers in one.signers.items() for signer in signers[:1]})
    listed = "".join(f"\n  {signer}  said to be site {site}" for site, signer in said)
    if session.interactive and said:
        click.echo(
            f"Nothing vouches for who published the documents of {system}. What lies there names these signers, and "
            f"whoever can write to the repository could have put it there:{listed}",
            err=True,
        )
        answer = click.prompt("Compare with the recovery sheet. Type the signer that you know", default="", err=True)
        if SIGNER.fullmatch(answer.strip()):
            return (answer.strip(),)
    raise UsageError(
        "trust-missing",
        "nothing vouches for who published the documents",
        f"the key given vouches for none of the signers that are named there:{listed or ' none'}",
        "compare with the recovery sheet and give the right one with --trust ed25519:..., or --trust FILE",
    )


def _named(text: str) -> list[str]:
    if SIGNER.fullmatch(text):
        return [text]
    try:
        found = SIGNER.findall(Path(text).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError):
        found = []
    if not found:
        raise UsageError(
            "trust-invalid",
            "what is to be trusted names no signer",
            f"'{text}' is neither ed25519: with 44 letters behind it nor a file that holds such a word",
            "copy the signer from the recovery sheet, or from 'aegis keys list' on a machine that you trust",
        )
    return found
