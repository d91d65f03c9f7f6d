"""Vouchers: who holds a private age key says of a signer that it is believed, so that the key alone tells on a machine
that has nothing whose publications are real. Recipients are public and anybody can seal to them; a voucher can be made
only with the private half, and is checked only by who has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aegis_plan.errors import AegisError
from aegis_plan.sealing.keys import public_signer
from aegis_plan.sealing.signatures import sign_bytes, verify_bytes

_INFO = b"aegis voucher v1"


def _key(identity: str) -> bytes:
    """A signing key of its own, derived one-way from the age secret key."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_INFO).derive(identity.strip().encode())


def _message(signer: str) -> bytes:
    return _INFO + b"\0" + signer.encode()


def vouch(identity: str, signer: str) -> str:
    """What stands under `sealing.vouchers` for the signer `ed25519:...`; `identity` is an age secret key."""
    key = _key(identity)
    return f"{signer} {public_signer(key)} {sign_bytes(_message(signer), key)}"


def endorse(signing: bytes, signer: str) -> str:
    """The same by the signing key that the signer takes the place of: who believes the old one believes the new one."""
    return f"{signer} {public_signer(signing)} {sign_bytes(_message(signer), signing)}"


def vouched(vouchers: Iterable[str], identities: Sequence[str]) -> tuple[str, ...]:
    """The signers that one of the identities vouched for."""
    return _by(vouchers, {public_signer(_key(one)) for one in identities if one.startswith("AGE-SECRET-KEY-")})


def endorsed(vouchers: Iterable[str], trusted: Iterable[str]) -> tuple[str, ...]:
    """The signers whom one of the trusted signers endorsed."""
    return _by(vouchers, set(trusted))


def _by(vouchers: Iterable[str], publics: set[str]) -> tuple[str, ...]:
    """Everything else is passed over."""
    found = []
    for voucher in vouchers:
        signer, _, rest = voucher.partition(" ")
        public, _, signature = rest.partition(" ")
        try:
            if public in publics and verify_bytes(_message(signer), signature, public):
                found.append(signer)
        except AegisError:
            continue
    return tuple(dict.fromkeys(found))
