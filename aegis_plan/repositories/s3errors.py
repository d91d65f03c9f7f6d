"""What answers of S3 services and faults on the way to them mean. None of the SDK's own text goes on, because it can
carry keys and addresses.
"""

from __future__ import annotations

from aegis_plan.errors import AegisError
from aegis_plan.repositories import refused
from aegis_plan.repositories.refused import Refused

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
_WITHOUT = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give `access_key` and `secret_key` in the documents"


def translate(error: Exception, name: str, doing: str) -> Exception:
    """Our error for whatever the SDK raised."""
    from botocore import exceptions as sdk
    from urllib3.exceptions import HTTPError

    if isinstance(error, sdk.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return _answer(str(error.response.get("Error", {}).get("Code", "")), status, name, doing)
    if isinstance(error, sdk.NoCredentialsError | sdk.PartialCredentialsError | sdk.CredentialRetrievalError):
        return refused.denied(name, doing, "no credentials are given or found", _WITHOUT)
    if isinstance(error, sdk.ParamValidationError | sdk.NoRegionError | sdk.UnknownEndpointError | ValueError):
        return refused.misdeclared(name, doing, type(error).__name__)
    if isinstance(error, sdk.SSLError):
        return refused.unreachable(
            name, doing, "the TLS connection failed", "check the endpoint and, for a private authority, `ca`"
        )
    if not isinstance(error, sdk.BotoCoreError | sdk.HTTPClientError | HTTPError | OSError):
        return error
    return refused.unreachable(
        name, doing, type(error).__name__, "check the network and the endpoint; it is tried again"
    )


def _answer(code: str, status: int, name: str, doing: str) -> Exception:
    if code == "NoSuchBucket":
        return refused.bucket_missing(name, doing)
    if code == "NoSuchUpload":
        return Refused("upload-gone")
    if status == 416:
        return Refused("range")
    if status == 412:
        return Refused("exists")
    if status == 409:
        return Refused("busy")
    if code in _DENIED or status in (401, 403):
        return refused.denied(name, doing, f"the service answers {code or status}")
    if code in ("NoSuchKey", "NotFound", "404"):
        return Refused("missing")
    if code in _FULL or status == 507:
        return refused.full(name, doing, code or status)
    if code in _DAMAGED:
        return refused.damaged_on_the_way(name, doing, code)
    if code in _BUSY or status == 429 or status >= 500:
        return refused.unavailable(name, doing, code or status)
    return AegisError(
        "repository-refused",
        "a repository refuses a request",
        f"{name}: the service answers {code or 'no code'} ({status}) on the way to {doing}",
        "a service without checksums needs `checksums: when_required`; otherwise see what it supports",
    )
