"""Copies that are never cleaned up, and keys that are no second way in. It reads no repository."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope
from aegis_plan.documents.lint.words import listed
from aegis_plan.documents.model import LocalRepository


@rule("cleanup-never", "warning", "a local copy waits for more other copies than there will ever be")
def cleanup_never(scope: Scope) -> Iterator[Wrong]:
    for repository, declared in scope.documents.repositories.items():
        wanted = declared.clean_up_after_copies if isinstance(declared, LocalRepository) else None
        if wanted is None:
            continue
        for name, _, backup in scope.backups():
            others = sorted(set(backup.repositories) - {repository})
            if repository in backup.repositories and len(others) < wanted:
                yield Wrong(
                    ("repositories", repository, "clean_up_after_copies"),
                    f"{name} goes to {f'{len(others)} other ({listed(others)})' if others else 'no other'}, against "
                    f"{wanted}: nothing of it is ever removed from {repository}",
                    "ask for no more copies than there are other repositories, or add one",
                )


@rule("recovery-key-in-use", "warning", "the offline recovery key is a key of every day")
def recovery_key_in_use(scope: Scope) -> Iterator[Wrong]:
    sealing = scope.documents.sealing
    if sealing is None:
        return
    places = ["sealing.recipients"] if sealing.recovery_recipient in sealing.recipients else []
    places += [
        f"sealing.host_recipients.{site}"
        for site, recipient in sealing.host_recipients.items()
        if recipient == sealing.recovery_recipient
    ]
    if places:
        yield Wrong(
            ("sealing", "recovery_recipient"),
            f"it is the one of {listed(places)} too: who loses that key loses both, and one that is used lies offline "
            "nowhere",
            "make a key of its own with 'aegis keys new recovery', and keep its private half offline",
        )
