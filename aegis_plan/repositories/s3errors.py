"""What answers of S3 services and faults on the way to them mean. None of the SDK's own text goes on, because it can
carry keys and addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aegis_plan.errors import AegisError, DamageError, UnavailableError
from aegis_plan.repositories.local import conflict, missing

_DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "XAdminUserNotFound",
}
_BUSY = {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "RequestTimeout"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "StorageFull", "EntityTooLarge"}
_DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody"}


@dataclass(frozen=True)
class Refused(Exception):
    """An answer whose meaning depends on what was asked; the caller decides."""

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


def translate(error: Exception, name: str, doing: str) -> Exception:
    """Our error for whatever the SDK raised."""
    from botocore import exceptions as sdk
    from urllib3.exceptions import HTTPError

    if isinstance(error, sdk.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return _answer(str(error.response.get("Error", {}).get("Code", "")), status, name, doing)
    if isinstance(error, sdk.NoCredentialsError | sdk.PartialCredentialsError | sdk.CredentialRetrievalError):
        return _denied(name, doing, "no credentials are given or found")
    if isinstance(error, sdk.ParamValidationError | sdk.NoRegionError | sdk.UnknownEndpointError | ValueError):
        return AegisError(
            "repository-misdeclared",
            "a repository cannot be used as it is declared",
            f"{name}: {type(error).__name__} on the way to {doing}",
            "check bucket, region, endpoint and prefix",
        )
    if isinstance(error, sdk.SSLError):
        detail, hint = "the TLS connection failed", "check the endpoint and, for a private authority, `ca`"
    elif not isinstance(error, sdk.BotoCoreError | sdk.HTTPClientError | HTTPError | OSError):
        return error
    else:
        detail, hint = type(error).__name__, "check the network and the endpoint; it is tried again"
    return UnavailableError(
        "repository-unreachable", "a repository cannot be reached", f"{name}: {detail} on the way to {doing}", hint
    )


def _answer(code: str, status: int, name: str, doing: str) -> Exception:
    if code == "NoSuchBucket":
        return AegisError(
            "bucket-missing",
            "a repository's bucket does not exist",
            f"{name}, on the way to {doing}",
            "make the bucket, or correct its name; aegis makes none",
        )
    if code == "NoSuchUpload":
        return Refused("upload-gone")
    if status == 416:
        return Refused("range")
    if status == 412:
        return Refused("exists")
    if status == 409:
        return Refused("busy")
    if code in _DENIED or status in (401, 403):
        return _denied(name, doing, f"the service answers {code or status}")
    if code in ("NoSuchKey", "NotFound", "404"):
        return Refused("missing")
    if code in _FULL or status == 507:
        return UnavailableError(
            "repository-full",
            "a repository has no room",
            f"{name}: the service answers {code or status} on the way to {doing}",
            "make room or prune",
        )
    if code in _DAMAGED:
        return DamageError(
            "arrived-damaged",
            "what arrived in a repository is not what was sent",
            f"{name}: the service answers {code} on the way to {doing}",
            "it is tried again; if it repeats, look at what lies between",
        )
    if code in _BUSY or status == 429 or status >= 500:
        return UnavailableError(
            "repository-unavailable",
            "a repository refuses for now",
            f"{name}: the service answers {code or status} on the way to {doing}",
            "it is tried again",
        )
    return AegisError(
        "repository-refused",
        "a repository refuses a request",
        f"{name}: the service answers {code or 'no code'} ({status}) on the way to {doing}",
        "a service without checksums needs `checksums: when_required`; otherwise see what it supports",
    )


def _denied(name: str, doing: str, detail: str) -> AegisError:
    return AegisError(
        "repository-denied",
        "a repository does not allow this",
        f"{name}: {detail} on the way to {doing}",
        "check the credentials, the machine's clock and what the account may do",
    )
