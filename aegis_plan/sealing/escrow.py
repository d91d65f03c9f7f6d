"""Values of secret references, sealed to the recovery recipient alone. Which references are in it can be read and is
signed; a value can be read with the recovery key and with nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyrage
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aegis_plan.clock import stamp
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.sealing.canonical import canonical, parse
from aegis_plan.sealing.signatures import Signers, disclose, enclose

FORMAT = 1
OLDEST_READER = 1
PART = "escrow"


@dataclass(frozen=True)
class Escrow:
    """What can be read of an escrow without its key."""

    id: str
    system: str
    site: str
    scenario: str
    written: datetime
    recipient: str
    references: tuple[str, ...]
    marks: dict[str, str]
    """Reference to a mark of its value that only the site that signed can make."""
    sealed: bytes


def mark(reference: str, value: str, signing: bytes) -> str:
    """Tells whether a value is still the same, to nobody but the site: whoever has no signing key cannot try values."""
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"aegis escrow v1").derive(signing)
    return hmac.new(key, f"{reference}\0{value}".encode(), hashlib.sha256).hexdigest()[:32]


def make(
    identity: str,
    system: str,
    site: str,
    scenario: str,
    written: datetime,
    recipient: str,
    values: Mapping[str, str],
    signing: bytes,
) -> bytes:
    """The bytes of an escrow. Raises AegisError `recipient-malformed`."""
    from aegis_plan.sealing.keys import sealed_to

    plain = canonical({"format": FORMAT, "system": system, "values": dict(values)})
    body = {
        "age": base64.b64encode(sealed_to([recipient], plain)).decode(),
        "format": FORMAT,
        "id": identity,
        "marks": {reference: mark(reference, value, signing) for reference, value in values.items()},
        "oldest_reader": OLDEST_READER,
        "recipient": recipient,
        "references": sorted(values),
        "scenario": scenario,
        "site": site,
        "system": system,
        "written": stamp(written),
    }
    return enclose(body, PART, site, signing)


def look(data: bytes, signers: Signers | None) -> Escrow:
    """What it says of itself; without `signers` the signature is not looked at.

    Raises DamageError `escrow-unreadable`, `unknown-signer`, `bad-signature`, AegisError `format-too-new`."""
    try:
        body: dict[str, Any] = parse(data)[PART] if signers is None else disclose(data, PART, signers)[0]
        if int(body["oldest_reader"]) > FORMAT:
            raise AegisError(
                "format-too-new",
                "written by a newer version than this one can read",
                f"an escrow needs a reader of format {body['oldest_reader']}, and this one reads up to {FORMAT}",
                "use a newer version of aegis",
            )
        return Escrow(
            id=str(body["id"]),
            system=str(body["system"]),
            site=str(body["site"]),
            scenario=str(body["scenario"]),
            written=datetime.fromisoformat(str(body["written"])),
            recipient=str(body["recipient"]),
            references=tuple(map(str, body["references"])),
            marks={str(name): str(value) for name, value in dict(body["marks"]).items()},
            sealed=base64.b64decode(body["age"], validate=True),
        )
    except DamageError as error:
        if error.code != "record-unreadable":
            raise
    except (ValueError, KeyError, TypeError):
        pass
    raise DamageError(
        "escrow-unreadable",
        "an escrow cannot be read",
        "it is not the form that 'aegis keys escrow' writes",
        "use another copy; each repository holds one",
    )


def opened(escrow: Escrow, identities: Sequence[str]) -> dict[str, str]:
    """Reference to value. Raises AegisError `no-key-opens`, `identity-malformed`."""
    from aegis_plan.documents.recipients import short_id
    from aegis_plan.sealing.keys import identities_of

    try:
        plain = pyrage.decrypt(escrow.sealed, identities_of(identities))
    except pyrage.DecryptError:
        raise AegisError(
            "no-key-opens",
            "none of the identities opens the backup",
            f"the escrow {escrow.id} is sealed to {short_id(escrow.recipient)} alone",
            "give the recovery key",
        ) from None
    found = parse(bytes(plain))["values"]
    return {str(name): str(value) for name, value in found.items()}
