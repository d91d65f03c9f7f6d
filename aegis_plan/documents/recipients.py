"""Recipients as documents name them: to whom data keys are wrapped, and how each is named to people. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from aegis_plan.documents.model import Sealing


def short_id(recipient: str) -> str:
    """How a recipient is named to people: its kind and eight hex digits of its SHA-256."""
    kind = recipient.split(" ")[0] if recipient.startswith("ssh-") else recipient[:4]
    return f"{kind}:{hashlib.sha256(recipient.encode()).hexdigest()[:8]}"


def bare(recipient: str) -> str:
    """A recipient without the comment that an SSH key may carry."""
    return " ".join(recipient.split()[:2]) if recipient.startswith("ssh-") else recipient


def recipients_of(sealing: Sealing) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """To whom data keys are wrapped by these documents: those who open all, and those who open what the next backup
    needs; each sorted and without comments."""
    data = {bare(name) for name in (*sealing.recipients, sealing.recovery_recipient)}
    return tuple(sorted(data)), tuple(sorted(data | {bare(name) for name in sealing.host_recipients.values()}))


def names_of(recipients: Iterable[str], sealing: Sealing) -> str:
    """Recipients as people know them, and by their short ids."""
    shown = []
    for recipient in sorted(recipients):
        holder = sealing.holder(recipient)
        shown.append(f"{holder} ({short_id(recipient)})" if holder else short_id(recipient))
    return ", ".join(shown)
