"""Earlier versions of an object that was deleted: takes them away where that is allowed, and tells which stay and until
when. Only buckets keep any."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aegis_plan.errors import AegisError
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.refused import Refused
from aegis_plan.repositories.retry import Retrying


@dataclass(frozen=True)
class Kept:
    """A version of an object that can still be read."""

    key: str
    version: str
    until: datetime | None
    """How long the service keeps it from being deleted; None where only a permission is missing."""
    reason: str


def purge(repository: Repository, key: str) -> list[Kept]:
    """Removes every version of an object that was deleted, and gives those that stay, or may."""
    inner = repository.inner if isinstance(repository, Retrying) else repository
    from aegis_plan.repositories.local import LocalRepository

    if isinstance(inner, LocalRepository):
        return []
    from aegis_plan.repositories.s3 import S3Repository

    if not isinstance(inner, S3Repository):
        return []
    return list(_purge(inner, key))


def _purge(bucket: Any, key: str) -> Iterator[Kept]:
    full = bucket.full_key(key)
    try:
        with bucket.mapped(f"list versions of {key}"):
            page = bucket.client.list_object_versions(Bucket=bucket.bucket, Prefix=full)
    except (AegisError, Refused) as error:
        # Who may not list versions, or a service that knows none and says so in words of its own.
        yield Kept(key, "", None, f"its versions cannot be listed ({_why(error)})")
        return
    for entry in page.get("Versions", ()):
        if entry["Key"] != full:
            continue
        version = str(entry["VersionId"])
        try:
            with bucket.mapped(f"delete a version of {key}"):
                bucket.client.delete_object(Bucket=bucket.bucket, Key=full, VersionId=version)
        except (AegisError, Refused) as error:
            yield Kept(key, version, _until(bucket, full, version), f"it may not be deleted ({_why(error)})")


def _why(error: AegisError | Refused) -> str:
    return error.summary if isinstance(error, AegisError) else error.kind


def _until(bucket: Any, full: str, version: str) -> datetime | None:
    asked = {"Bucket": bucket.bucket, "Key": full, "VersionId": version}
    with contextlib.suppress(Exception):  # a service without Object Lock, or no permission to ask
        with bucket.mapped("look at a version"):
            found = bucket.client.head_object(**asked).get("ObjectLockRetainUntilDate")
            # VersityGW says it only where it is asked for it alone.
            found = found or bucket.client.get_object_retention(**asked)["Retention"]["RetainUntilDate"]
        return found if isinstance(found, datetime) else None
    return None
