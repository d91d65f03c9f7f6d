"""What answers of Azure's blob service and faults on the way to it mean. None of the SDK's own text goes on, because it
can carry addresses and signatures.
"""

from __future__ import annotations

from aegis_plan.errors import AegisError
from aegis_plan.repositories import refused
from aegis_plan.repositories.refused import Refused

_MISSING = {"BlobNotFound", "ResourceNotFound"}
_EXISTS = {"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet", "ResourceAlreadyExists"}
_DAMAGED = {"Md5Mismatch", "Crc64Mismatch", "InvalidMd5", "InvalidCrc64"}
_LOCKED = {"BlobImmutableDueToPolicy", "LeaseIdMissing", "SnapshotsPresent"}
"""The service keeps the object whoever asks; no other credentials would change that."""
_ARCHIVED = {"BlobArchived", "BlobBeingRehydrated"}
_WITHOUT = "set AZURE_STORAGE_CONNECTION_STRING, or give `connection` in the documents"


def translate(error: Exception, name: str, doing: str) -> Exception:
    """Our error for whatever the SDK raised."""
    from azure.core import exceptions as sdk

    if not isinstance(error, sdk.AzureError):
        # The SDK trips over an answer whose body is not quite as it expects, such as that of a proxy.
        behind = error.__context__
        while behind is not None and not isinstance(behind, sdk.HttpResponseError):
            behind = behind.__context__
        error = behind or error
    if isinstance(error, sdk.ClientAuthenticationError) and error.response is None:
        return refused.denied(name, doing, "no credentials are given or found", _WITHOUT)
    if isinstance(error, sdk.HttpResponseError) and error.response is not None:
        status = int(error.response.status_code or 0)
        return _answer(_code(error), status, name, doing)
    if isinstance(error, sdk.ServiceRequestError | sdk.ServiceResponseError | sdk.HttpResponseError | OSError):
        if "SSL" in type(error.__cause__ or error).__name__ or "SSL" in str(error):
            return refused.unreachable(
                name, doing, "the TLS connection failed", "check the endpoint and, for a private authority, `ca`"
            )
        return refused.unreachable(
            name, doing, type(error).__name__, "check the network and the endpoint; it is tried again"
        )
    if isinstance(error, ValueError):
        return refused.misdeclared(name, doing, "an address or a credential has no form that Azure knows")
    if isinstance(error, sdk.AzureError):
        # The SDK compares the checksum of an answer with what it sent, and has no error of its own for it.
        return refused.damaged_on_the_way(name, doing, type(error).__name__)
    return error


def _code(error: Exception) -> str:
    code = getattr(error, "error_code", None)
    response = getattr(error, "response", None)
    if not code and response is not None:
        code = response.headers.get("x-ms-error-code", "")
    return str(getattr(code, "value", code) or "")


def _answer(code: str, status: int, name: str, doing: str) -> Exception:
    said = code or status
    if code == "ContainerNotFound":
        return refused.bucket_missing(name, doing)
    if code == "InvalidBlockList":
        return Refused("upload-gone")
    if status == 416:
        return Refused("range")
    if code in _LOCKED:
        return refused.denied(name, doing, f"the service keeps the object: {code}")
    if code in _ARCHIVED:
        return AegisError(
            "object-archived",
            "an object lies in a tier from which it cannot be read at once",
            f"{name}: the service answers {code} on the way to {doing}",
            "bring it back to the hot or cool tier, and take the rule away that moves backups to the archive",
        )
    if status == 412 or code in _EXISTS:
        return Refused("exists")
    if code in _DAMAGED:
        return refused.damaged_on_the_way(name, doing, code)
    if status in (401, 403):
        return refused.denied(name, doing, f"the service answers {said}")
    if status == 404 or code in _MISSING:
        return Refused("missing")
    if status == 507 or code == "AccountLimitExceeded":
        return refused.full(name, doing, said)
    if code in ("ContainerBeingDeleted", "ServerBusy") or status in (408, 429) or status >= 500:
        return refused.unavailable(name, doing, said)
    if status == 409:
        return Refused("busy")
    return AegisError(
        "repository-refused",
        "a repository refuses a request",
        f"{name}: the service answers {code or 'no code'} ({status}) on the way to {doing}",
        "see what the service or the endpoint supports",
    )
