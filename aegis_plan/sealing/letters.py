"""Small things sealed as age files of their own, which the plain `age` tool opens too, such as the published documents.
Everything is sealed to all recipients, the recovery recipient and the hosts."""

from __future__ import annotations

from collections.abc import Sequence

import pyrage

from aegis_plan.documents.model import Sealing
from aegis_plan.documents.recipients import short_id
from aegis_plan.errors import AegisError


def readers(sealing: Sealing) -> tuple[str, ...]:
    """Everybody whom a letter is sealed to."""
    return tuple(dict.fromkeys([*sealing.recipients, sealing.recovery_recipient, *sealing.host_recipients.values()]))


def seal(data: bytes, sealing: Sealing) -> bytes:
    """An age file."""
    found = [
        pyrage.ssh.Recipient.from_str(name) if name.startswith("ssh-") else pyrage.x25519.Recipient.from_str(name)
        for name in readers(sealing)
    ]
    return bytes(pyrage.encrypt(data, found))


def unseal(data: bytes, identities: Sequence[str], what: str, sealed_to: Sequence[str] = ()) -> bytes:
    """What an age file holds. Raises AegisError `key-opens-not`."""
    keys = [
        pyrage.ssh.Identity.from_buffer(text.encode())
        if "PRIVATE KEY-----" in text
        else pyrage.x25519.Identity.from_str(text.strip())
        for text in identities
    ]
    try:
        if keys:
            return bytes(pyrage.decrypt(data, keys))
    except pyrage.DecryptError:
        pass
    whose = f"; it is sealed to {', '.join(map(short_id, sealed_to))}" if sealed_to else ""
    raise AegisError(
        "key-opens-not",
        "the key given does not open this",
        f"{what}: {len(keys)} keys were tried{whose}",
        "give the key of a recipient, or the offline recovery key",
    )
