"""Objects of a bucket that keeps versions: the first one of a name is the object, because nothing of ours is ever
overwritten; what was put over it or hides it came from somebody else. Removing is judged by each version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aegis_plan.errors import AegisError
from aegis_plan.repositories.refused import Refused

if TYPE_CHECKING:
    from aegis_plan.repositories.s3 import S3Repository


@dataclass(frozen=True)
class Version:
    """One version with bytes."""

    id: str
    size: int
    tag: str
    modified: datetime


@dataclass
class Kept:
    """All that a bucket has under one name."""

    key: str
    versions: list[Version] = field(default_factory=list)
    """The newest first."""
    markers: list[str] = field(default_factory=list)
    """Ids of what hides it."""
    hidden: bool = False

    @property
    def first(self) -> Version | None:
        return self.versions[-1] if self.versions else None


def kept(repository: S3Repository, client: Any, prefix: str) -> Iterator[Kept]:
    """Every name below a prefix, in the order of the service. Raises Refused and what `mapped` raises."""
    found: dict[str, Kept] = {}
    marker: dict[str, str] = {}
    while True:
        with repository.mapped(f"list the versions of {prefix}"):
            page = client.list_object_versions(Bucket=repository.bucket, Prefix=repository.full_key(prefix), **marker)
        for entry in page.get("Versions", ()):
            one = found.setdefault(entry["Key"], Kept(entry["Key"]))
            one.versions.append(
                Version(entry["VersionId"], entry["Size"], entry.get("ETag", ""), entry["LastModified"])
            )
        for entry in page.get("DeleteMarkers", ()):
            one = found.setdefault(entry["Key"], Kept(entry["Key"]))
            one.markers.append(entry["VersionId"])
            one.hidden = one.hidden or bool(entry.get("IsLatest"))
        if not page.get("IsTruncated"):
            break
        marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}
    for one in found.values():
        one.versions.sort(key=lambda version: version.modified, reverse=True)
    yield from found.values()


def first(repository: S3Repository, client: Any, key: str) -> Version | None:
    """The object under a key, whatever was put over it since."""
    name = repository.full_key(key)
    return next((one.first for one in kept(repository, client, key) if one.key == name), None)


def remove(repository: S3Repository, client: Any, key: str) -> None:
    """Removes every version under a key, and what hides them.

    What is locked stays and is shown again. Raises AegisError `object-locked`, and `repository-denied` where the
    account may not remove versions."""
    name = repository.full_key(key)
    for one in kept(repository, client, key):
        if one.key != name:
            continue
        stay = [version for version in one.versions if not _removed(repository, client, key, version.id)]
        # Without its markers an object that is locked is seen again; where all is gone they hide nothing.
        for marker in one.markers:
            _removed(repository, client, key, marker)
        if stay:
            raise _locked(repository.name, key, len(stay), _until(repository, client, key, stay[0].id))


def _removed(repository: S3Repository, client: Any, key: str, version: str) -> bool:
    try:
        with repository.mapped(f"remove a version of {key}"):
            client.delete_object(Bucket=repository.bucket, Key=repository.full_key(key), VersionId=version)
    except Refused as refused:
        return refused.kind == "missing"
    except AegisError as error:
        if error.code != "repository-denied":
            raise
        return False
    return True


def _until(repository: S3Repository, client: Any, key: str, version: str) -> str:
    """Until when a version is locked, in words; nothing where nobody says."""
    where = {"Bucket": repository.bucket, "Key": repository.full_key(key), "VersionId": version}
    try:
        with repository.mapped(f"look at the lock of {key}"):
            until = client.get_object_retention(**where)["Retention"]["RetainUntilDate"]
    except (AegisError, Refused, KeyError):
        return ""
    return f", locked until {until:%Y-%m-%d %H:%M} UTC"


def _locked(name: str, key: str, count: int, until: str) -> AegisError:
    return AegisError(
        "object-locked",
        "an object is locked, and cannot be removed yet",
        f"{name}: {key}: {count} version{'s stay' if count > 1 else ' stays'}{until}",
        "it goes once its lock ends, or give the identity that prunes the right to remove versions",
    )
