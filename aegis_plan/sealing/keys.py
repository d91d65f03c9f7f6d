"""Data keys and how they are wrapped to age recipients. A private key never leaves this module in an error.

One data key per set has two halves: `data` opens everything and is wrapped to the backup recipients; `meta` opens only
what the next backup needs to read and is wrapped also to the hosts that take backups.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyrage
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aegis_plan.documents.model import Sealing
from aegis_plan.documents.recipients import bare, recipients_of, short_id
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.sealing.canonical import parse
from aegis_plan.sealing.signatures import Signers, disclose, enclose

FORMAT = 1
"""Format of key objects written now."""
OLDEST_READER = 1
KEY_BYTES = 32
PART = "key"
"""What a key object calls what is signed in it."""


@dataclass(frozen=True)
class DataKey:
    """The two secrets of one set. A half that could not be opened is None."""

    name: str
    data: bytes | None = field(repr=False)
    meta: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Wrapping:
    """What a wrapped data key says of itself without being opened, as its signer vouches for."""

    name: str
    generation: int | None
    """None in what older versions wrote."""
    data: tuple[str, ...]
    """Recipients that open everything."""
    meta: tuple[str, ...]
    """Recipients that open what the next backup needs, those of `data` among them."""
    signer: str


def new_data_key(name: str) -> DataKey:
    """A fresh random key."""
    return DataKey(name, secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES))


def object_key(secret: bytes, key: str) -> bytes:
    """The key of one object, from a half of its set's data key and the object's full key in a repository."""
    info = b"aegis object v1\0" + key.encode()
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def public_identity(text: str) -> str:
    """The recipient of an identity: an age secret key or an OpenSSH private key. Raises AegisError
    `identity-malformed`."""
    if "PRIVATE KEY-----" not in text:
        return str(_identities([text])[0].to_public())
    try:
        private = serialization.load_ssh_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _malformed(1) from None
    form = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return form.decode()


def new_identity() -> tuple[str, str]:
    """A fresh age secret key and its recipient."""
    made = pyrage.x25519.Identity.generate()
    return str(made), str(made.to_public())


def new_signing_key() -> tuple[bytes, str]:
    """A fresh Ed25519 private key (32 bytes) and its public form as documents list it."""
    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    return private, public_signer(private)


def public_signer(private: bytes) -> str:
    """`ed25519:<base64>` of a private signing key. Raises AegisError `signing-key-malformed`."""
    if len(private) != KEY_BYTES:
        raise AegisError(
            "signing-key-malformed",
            "the signing key is not an Ed25519 key",
            f"it has {len(private)} bytes instead of {KEY_BYTES}",
            "make a key with `aegis keys` and let the site file point to it",
        )
    public = Ed25519PrivateKey.from_private_bytes(private).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return "ed25519:" + base64.b64encode(raw).decode()


def check_recipient(text: str) -> None:
    """Raises AegisError `recipient-malformed` for what nothing can be sealed to, such as a mistyped recipient."""
    _recipient(text)


def _recipient(text: str) -> Any:
    try:
        if text.startswith("ssh-"):
            return pyrage.ssh.Recipient.from_str(text)
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        if text.upper().startswith("AGE-SECRET-KEY-"):
            detail = "a secret key stands where a recipient (age1...) belongs; treat that key as disclosed"
        else:
            detail = f"'{text}' is neither an age recipient (age1...) nor an ssh-ed25519 or ssh-rsa public key"
        raise AegisError(
            "recipient-malformed",
            "a recipient cannot be used for sealing",
            detail,
            "write the public half that `aegis keys` or `age-keygen -y` prints",
        ) from None


def sealed_to(recipients: Sequence[str], plain: bytes) -> bytes:
    """An age file that these recipients can open. Raises AegisError `recipient-malformed`."""
    return bytes(pyrage.encrypt(plain, [_recipient(name) for name in recipients]))


def identities_of(texts: Sequence[str]) -> list[Any]:
    """Identities as age takes them. Raises AegisError `identity-malformed`."""
    return _identities(texts)


def _identities(texts: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    for number, text in enumerate(texts, 1):
        try:
            if "PRIVATE KEY-----" in text:
                found.append(pyrage.ssh.Identity.from_buffer(text.encode()))
                continue
            lines = [line.strip() for line in text.splitlines()]
            wanted = [line for line in lines if line and not line.startswith("#")]
            if not wanted:
                raise ValueError
            found.extend(pyrage.x25519.Identity.from_str(line) for line in wanted)
        except (pyrage.IdentityError, ValueError):
            raise _malformed(number) from None
    return found


def _malformed(number: int) -> AegisError:
    return AegisError(
        "identity-malformed",
        "an identity cannot be used for opening",
        f"identity {number} is neither a whole age secret key (AGE-SECRET-KEY-1...) nor an OpenSSH private key without "
        "a passphrase",
        "check the file that the site file names under `identities`: a key that was cut or mistyped opens nothing",
    )


def wrap(key: DataKey, sealing: Sealing, site: str, signing: bytes, generation: int = 0) -> bytes:
    """The key object: both halves sealed to the recipients and the recovery recipient, `meta` also to every host,
    signed by the site. Recipients are public: without a signature whoever writes to a repository could put a key of
    his own there, and a restore that takes the newest would open nothing.

    Raises AegisError `recipient-malformed`, `signing-key-malformed`, and `key-incomplete` when a half is missing."""
    public_signer(signing)
    if key.data is None or key.meta is None:
        raise AegisError(
            "key-incomplete",
            "a data key cannot be wrapped without both of its halves",
            f"the key {key.name} was opened with an identity that opens only one half",
            "use an identity of a backup recipient",
        )
    data, meta = recipients_of(sealing)
    halves = {}
    for half, secret, names in (("data", key.data, data), ("meta", key.meta, meta)):
        blob = pyrage.encrypt(secret, [_recipient(name) for name in names])
        halves[half] = {"age": base64.b64encode(blob).decode(), "recipients": list(names)}
    body = {
        "format": FORMAT,
        "generation": generation,
        "name": key.name,
        "oldest_reader": OLDEST_READER,
        **halves,
    }
    return enclose(body, PART, site, signing)


def unwrap(blob: bytes, identities: Sequence[str], signers: Signers | None) -> DataKey:
    """Opens what of a key object the identities can open; a half that they cannot is None. Without `signers` the
    signature is not looked at.

    Raises AegisError `no-key-opens` naming the recipients by their short ids, `identity-malformed`,
    `format-too-new`, and DamageError `key-unreadable`, `unknown-signer`, `bad-signature`."""
    form, sealed = _form(blob, signers)
    keys = _identities(identities)
    opened: dict[str, bytes | None] = {"data": None, "meta": None}
    for half, body in sealed.items():
        try:
            secret = pyrage.decrypt(body, keys) if keys else b""
        except pyrage.DecryptError:
            continue
        if keys and len(secret) != KEY_BYTES:
            raise _unreadable(f"the half '{half}' of {form.name} has {len(secret)} bytes instead of {KEY_BYTES}")
        opened[half] = bytes(secret) if keys else None
    if opened["data"] is None and opened["meta"] is None:
        raise AegisError(
            "no-key-opens",
            "none of the identities opens the backup",
            f"the key {form.name} is sealed to {', '.join(map(short_id, form.meta))}; {len(keys)} identities were "
            "tried",
            "give the identity of one of these recipients, or the offline recovery key",
        )
    return DataKey(form.name, opened["data"], opened["meta"])


def wrapping(blob: bytes, signers: Signers) -> Wrapping:
    """Who can open a key object, once the signature of a known signer was found right. No key is needed.

    Raises AegisError `format-too-new` and DamageError `key-unreadable`, `unknown-signer`, `bad-signature`."""
    return _form(blob, signers)[0]


def generation_of(blob: bytes) -> int | None:
    """Which generation a readable key object says that it is."""
    return _form(blob, None)[0].generation


def _form(blob: bytes, signers: Signers | None) -> tuple[Wrapping, dict[str, bytes]]:
    """What a key object says, and its sealed halves."""
    try:
        form, signer = (parse(blob)[PART], "") if signers is None else disclose(blob, PART, signers)
        oldest = form["oldest_reader"]
        if not isinstance(oldest, int):
            raise TypeError
        if oldest > FORMAT:
            raise AegisError(
                "format-too-new",
                "written by a newer version than this one can read",
                f"a data key needs a reader of format {oldest}, and this one reads up to {FORMAT}",
                "use a newer version of aegis",
            )
        generation = form.get("generation")
        if generation is not None and not isinstance(generation, int):
            raise TypeError
        sealed = {half: base64.b64decode(form[half]["age"], validate=True) for half in ("data", "meta")}
        names = {half: tuple(bare(str(text)) for text in form[half]["recipients"]) for half in sealed}
        return Wrapping(str(form["name"]), generation, names["data"], names["meta"], signer), sealed
    except DamageError as error:
        if error.code != "record-unreadable":
            raise
        raise _unreadable(error.detail) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _unreadable("it is not the form that this version writes") from None


def _unreadable(detail: str) -> DamageError:
    return DamageError(
        "key-unreadable",
        "a wrapped data key cannot be read",
        detail,
        "another repository may hold an undamaged copy",
    )
