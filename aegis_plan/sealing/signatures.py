"""Signing and verifying records of the catalog and wrapped keys. They are believed for their signature, never for where
they lay."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from aegis_plan.catalog.record import ADAPTER, FORMAT, Record
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.sealing import canonical as form

Signers = Mapping[str, str] | Mapping[str, tuple[str, ...]]
"""Site to the public key, or all the keys, believed under its name."""


def sign_bytes(message: bytes, key: bytes) -> str:
    """Base64 of the Ed25519 signature."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(key).sign(message)).decode()


def verify_bytes(message: bytes, signature: str, public: str) -> bool:
    """Whether `public` (`ed25519:<base64>`) signed the message. Raises AegisError `signer-malformed`."""
    try:
        _verifier(public).verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


@lru_cache(64)
def _verifier(public: str) -> Ed25519PublicKey:
    try:
        kind, _, text = public.partition(":")
        raw = base64.b64decode(text, validate=True)
        if kind != "ed25519" or len(raw) != 32:
            raise ValueError
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise AegisError(
            "signer-malformed",
            "a listed signer is not an Ed25519 public key",
            f"'{public}' is not of the form ed25519:<base64 of 32 bytes>",
            "write what `aegis keys` prints under sealing.signers",
        ) from None


def digest(record: Record) -> str:
    """SHA-256, hex, of the record's canonical bytes: how other records name it."""
    return form.digest(ADAPTER.dump_python(record, mode="json"))


def enclose(body: dict[str, Any], part: str, site: str, key: bytes) -> bytes:
    """Canonical JSON of `body` under the name `part`, with the site that signs it and its signature."""
    signature = sign_bytes(form.canonical(body), key)
    return form.canonical({part: body, "signer": site, "signature": signature})


def disclose(data: bytes, part: str, signers: Signers) -> tuple[dict[str, Any], str]:
    """The body that `enclose` put there, and its signer, once the signature of a known signer was found right.

    Raises DamageError `record-unreadable`, `unknown-signer` or `bad-signature`."""
    try:
        outer = form.parse(data)
        body, signer, signature = outer[part], outer["signer"], outer["signature"]
        if set(outer) != {part, "signer", "signature"} or not isinstance(body, dict):
            raise ValueError(f"it has other parts than {part}, signer and signature")
        if not isinstance(signer, str) or not isinstance(signature, str):
            raise ValueError("signer and signature are not text")
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(str(error)) from None
    named = str(body.get("id", body.get("name", "without id")))
    if signer not in signers:
        raise DamageError(
            "unknown-signer",
            "a record is signed by somebody who is not listed",
            f"{part} {named} says that '{signer}' signed it",
            "if you trust it, list its public key under sealing.signers, or sealing.former_signers when it signs no "
            "more; otherwise somebody else writes there",
        )
    keys = signers[signer]
    message = form.canonical(body)
    if not any(verify_bytes(message, signature, key) for key in ((keys,) if isinstance(keys, str) else keys)):
        raise _wrong(part, named, signer)
    return body, signer


def sign(record: Record, site: str, key: bytes) -> tuple[bytes, str]:
    """The bytes of the record's object, and its digest. `key` is the site's private key, 32 bytes."""
    body = ADAPTER.dump_python(record, mode="json")
    return enclose(body, "record", site, key), form.digest(body)


def verify(data: bytes, signers: Signers) -> tuple[Record, str]:
    """The record that `data` carries, and its digest, once the signature of a known signer was found right.

    Raises as `disclose` does, and AegisError `format-too-new`."""
    body, signer = disclose(data, "record", signers)
    named = str(body.get("id", "without id"))
    if body.get("site") != signer:
        raise _wrong("record", named, signer)
    return _parse(body, named), form.digest(body)


def _wrong(part: str, named: str, signer: str) -> DamageError:
    return DamageError(
        "bad-signature",
        "the signature of a record is wrong",
        f"{part} {named} was not signed in this form with the listed key of '{signer}'",
        "it was damaged or forged, or the site's key was changed and the earlier one is not under "
        "sealing.former_signers; use another copy, and find out who can write to that repository",
    )


def _parse(body: dict[str, Any], named: str) -> Record:
    oldest = body.get("oldest_reader")
    if isinstance(oldest, int) and oldest > FORMAT:
        raise AegisError(
            "format-too-new",
            "written by a newer version than this one can read",
            f"record {named} needs a reader of format {oldest}, and this one reads up to {FORMAT}",
            "use a newer version of aegis",
        )
    try:
        return ADAPTER.validate_python(body, strict=False)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    newer = isinstance(body.get("format"), int) and body["format"] > FORMAT
    extra = [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]
    if newer and len(extra) == len(problems):
        # A newer writer that lists this format as able to read it has only added fields.
        for place in extra:
            if len(place) == 2:
                body = {name: value for name, value in body.items() if name != place[1]}
        try:
            return ADAPTER.validate_python(body, strict=False)
        except ValidationError:
            pass
    first = problems[0]
    raise _unreadable(f"record {named}: {'.'.join(map(str, first['loc']))}: {first['msg']}")


def _unreadable(detail: str) -> DamageError:
    return DamageError(
        "record-unreadable",
        "a record cannot be read",
        detail,
        "use another copy; a record is never repaired in place",
    )
