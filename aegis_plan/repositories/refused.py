"""Answers of storage services whose meaning depends on what was asked, and errors that all repositories share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aegis_plan.errors import AegisError, DamageError, LockedError, UnavailableError


@dataclass(frozen=True)
class Refused(Exception):
    """An answer that only the caller can judge."""

    kind: Literal["missing", "exists", "busy", "range", "upload-gone"]

    def as_error(self, name: str, key: str) -> AegisError:
        """The error for a caller to whom the answer means no more than it says."""
        if self.kind == "missing":
            return missing(name, key)
        if self.kind == "exists":
            return conflict(name, key)
        return UnavailableError(
            "repository-busy",
            "a repository is busy with the same object",
            f"{name}: {key}: {self.kind}",
            "it is tried again",
        )


def missing(name: str, key: str) -> AegisError:
    """The error of a key that is not there."""
    return AegisError(
        "object-missing",
        "an object is not in the repository",
        f"{name} has no {key}",
        "look with `aegis verify`; another repository may hold it",
    )


def conflict(name: str, key: str) -> DamageError:
    """The error of a key that exists with other bytes."""
    return DamageError(
        "object-conflict",
        "an object exists already with other bytes",
        f"{name}: {key}",
        "two writers used the same name, or somebody replaced the object; nothing was overwritten",
    )


def moved(name: str, key: str) -> LockedError:
    """The error of a conditional write whose condition does not hold."""
    return LockedError(
        "lease-moved", "somebody else changed the object first", f"{name}: {key}", "read it again and decide anew"
    )


def short(name: str, key: str, detail: str) -> UnavailableError:
    """The error of an answer with fewer bytes than asked for."""
    return UnavailableError(
        "short-read", "a repository gave fewer bytes than asked for", f"{name}: {key}: {detail}", "it is tried again"
    )


def denied(name: str, doing: str, detail: str, hint: str = "") -> AegisError:
    """The error of an account that may not."""
    return AegisError(
        "repository-denied",
        "a repository does not allow this",
        f"{name}: {detail} on the way to {doing}",
        hint or "check the credentials, the machine's clock and what the account may do",
    )


def misdeclared(name: str, doing: str, detail: str) -> AegisError:
    """The error of a name, an address or a prefix that cannot be right."""
    return AegisError(
        "repository-misdeclared",
        "a repository cannot be used as it is declared",
        f"{name}: {detail} on the way to {doing}",
        "check the names, the endpoint and the prefix",
    )


def unreachable(name: str, doing: str, detail: str, hint: str) -> UnavailableError:
    """The error of a service that does not answer."""
    return UnavailableError(
        "repository-unreachable", "a repository cannot be reached", f"{name}: {detail} on the way to {doing}", hint
    )


def full(name: str, doing: str, said: object) -> UnavailableError:
    """The error of a service without room."""
    return UnavailableError(
        "repository-full",
        "a repository has no room",
        f"{name}: the service answers {said} on the way to {doing}",
        "make room or prune",
    )


def unavailable(name: str, doing: str, said: object) -> UnavailableError:
    """The error of a service that answers and refuses for now."""
    return UnavailableError(
        "repository-unavailable",
        "a repository refuses for now",
        f"{name}: the service answers {said} on the way to {doing}",
        "it is tried again",
    )


def damaged_on_the_way(name: str, doing: str, said: object) -> DamageError:
    """The error of bytes whose checksum does not fit where they arrived."""
    return DamageError(
        "arrived-damaged",
        "what arrived in a repository is not what was sent",
        f"{name}: the service answers {said} on the way to {doing}",
        "it is tried again; if it repeats, look at what lies between",
    )


def absent(name: str, key: str, accepted: bool) -> AegisError:
    """The error of an object that is not there after it was accepted, or after it was refused as there already."""
    if not accepted:
        # Somebody else's may be on its way, or was removed in between.
        return Refused("busy").as_error(name, key)
    return DamageError(
        "arrived-damaged",
        "what arrived in a repository is not what was sent",
        f"{name}: {key} was accepted and is not there",
        "the service does not keep what it accepted; do not rely on it",
    )


def bucket_missing(name: str, doing: str) -> AegisError:
    """The error of a bucket or container that is not there."""
    return AegisError(
        "bucket-missing",
        "a repository's bucket does not exist",
        f"{name}, on the way to {doing}",
        "make the bucket or container, or correct its name; aegis makes none",
    )
