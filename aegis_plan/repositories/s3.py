"""A repository in a bucket of S3 or of a service that speaks its protocol. It never overwrites an object, and never
counts one as stored before the service gave back its size and checksum.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_plan.documents.model import S3Repository as Declared
from aegis_plan.errors import AegisError
from aegis_plan.repositories import s3versions as versions
from aegis_plan.repositories.contract import Head, Listed, cannot_lock
from aegis_plan.repositories.identity import Identities
from aegis_plan.repositories.multipart import MultipartParts
from aegis_plan.repositories.parted import PartedUpload, Sums
from aegis_plan.repositories.refused import Refused, absent, conflict, missing, moved, short
from aegis_plan.repositories.s3connect import connect
from aegis_plan.repositories.s3errors import translate

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
LEAST_PART = 5 << 20
_PIECE = 1 << 20
_SECOND = timedelta(seconds=1)


class S3Repository:
    """A bucket, below a prefix; see `contract.Repository`. Connects at its first use."""

    def __init__(
        self,
        name: str,
        declared: Declared,
        resolve: Callable[[str], str],
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self.name = name
        self.bucket = declared.bucket
        self.checksums = declared.checksums == "when_supported"
        self.part_size = max(declared.part_size, LEAST_PART)
        self._declared, self._resolve = declared, resolve
        self._prefix = f"{declared.prefix.strip('/')}/" if declared.prefix.strip("/") else ""
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self._identities = Identities(name, declared, self._connect)
        self._confirmed = False
        self.lock_mode = declared.object_lock.mode.upper() if declared.object_lock is not None else ""

    @property
    def client(self) -> Any:
        """The SDK's client to write, made once; it is safe to use from several threads."""
        return self._identities.client("write")

    @property
    def _reading(self) -> Any:
        return self._identities.client("read")

    @property
    def _removing(self) -> Any:
        return self._identities.client("prune")

    def _connect(self, identity: Any) -> Any:
        with self.mapped("connect"):
            return connect(
                self._declared,
                identity,
                self._resolve,
                connect_seconds=self._connect_seconds,
                read_seconds=self._read_seconds,
            )

    @contextlib.contextmanager
    def mapped(self, doing: str) -> Iterator[None]:
        """Turns whatever the SDK raises into an error of ours, without any of its text."""
        try:
            yield
        except (AegisError, Refused):
            raise
        except Exception as error:  # noqa: BLE001 - botocore, urllib3, ssl; what is none of them is raised again
            raise translate(error, self.name, doing) from None

    def full_key(self, key: str) -> str:
        """The key in the bucket."""
        return self._prefix + key

    def open(self, key: str) -> PartedUpload:
        return PartedUpload(MultipartParts(self, key), key)

    def put(self, key: str, data: bytes) -> Head:
        digest = hashlib.sha256(data)
        crc = f"{zlib.crc32(data):08x}"
        extra: dict[str, Any] = {"ContentMD5": base64.b64encode(hashlib.md5(data).digest()).decode()}
        if self.checksums:
            extra = {"ChecksumSHA256": base64.b64encode(digest.digest()).decode()}
        try:
            with self.mapped(f"write {key}"):
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=self.full_key(key),
                    Body=data,
                    IfNoneMatch="*",
                    Metadata={"sha256": digest.hexdigest()},
                    **extra,
                )
            accepted = True
        except Refused as refused:
            if refused.kind != "exists":
                raise refused.as_error(self.name, key) from None
            accepted = False
        return self.settle(key, Sums(len(data), digest.hexdigest(), crc), accepted)

    def settle(self, key: str, sums: Sums, accepted: bool) -> Head:
        """Proves that the object under the key is the one meant, whoever wrote it. `accepted`: the service took ours.

        Raises DamageError `object-conflict`; where there is none DamageError `arrived-damaged` when it was accepted,
        and UnavailableError `repository-busy` when it was not."""
        size, sha256, crc32 = sums.size, sums.sha256, sums.crc32
        head = self.head(key)
        if head is None:
            raise absent(self.name, key, accepted)
        same = head.size == size
        if same and head.sha256 is not None:
            same = head.sha256 == sha256
        elif same and head.crc32 is not None:
            same = head.crc32 == crc32
        elif same:
            found = hashlib.sha256()
            for piece in self.get(key):
                found.update(piece)
            same = found.hexdigest() == sha256
            head = Head(key, size, "full", sha256, head.crc32, head.tag)
        if not same:
            raise conflict(self.name, key)
        return head

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if length == 0:
            return
        extra: dict[str, Any] = self._version(key)
        if offset or length is not None:
            extra["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        try:
            with self.mapped(f"read {key}"):
                answer = self._reading.get_object(Bucket=self.bucket, Key=self.full_key(key), **extra)
        except Refused as refused:
            if refused.kind == "range":
                raise short(self.name, key, f"it ends before byte {offset}") from None
            raise refused.as_error(self.name, key) from None
        body = answer["Body"]
        expected = answer.get("ContentLength")
        wanted = length if length is not None else expected
        given = 0
        try:
            if (
                "Range" in extra
                and answer["ResponseMetadata"]["HTTPStatusCode"] != 206
                and (offset or expected != length)
            ):
                raise short(self.name, key, "the service ignored the range that was asked for")
            while wanted is None or given < wanted:
                with self.mapped(f"read {key}"):
                    piece = body.read(_PIECE)
                if not piece:
                    break
                given += len(piece)
                yield piece
        finally:
            body.close()
        if wanted is not None and given != wanted:
            raise short(self.name, key, f"{given} of {wanted} bytes from {offset} came")

    def head(self, key: str) -> Head | None:
        extra: dict[str, Any] = {"ChecksumMode": "ENABLED"} if self.checksums else {}
        try:
            if self.lock_mode:
                first = versions.first(self, self._reading, key)
                if first is None:
                    return None
                extra["VersionId"] = first.id
            with self.mapped(f"look at {key}"):
                answer = self._reading.head_object(Bucket=self.bucket, Key=self.full_key(key), **extra)
        except Refused as refused:
            if refused.kind == "missing":
                self._present()
                return None
            raise refused.as_error(self.name, key) from None
        sha256, crc32 = _hex(answer.get("ChecksumSHA256"), 32), _hex(answer.get("ChecksumCRC32"), 4)
        return Head(
            key,
            answer["ContentLength"],
            "service" if sha256 or crc32 else "size",
            sha256,
            crc32,
            answer.get("ETag", ""),
            modified=answer.get("LastModified"),
        )

    def _present(self) -> None:
        """An answer without a body does not tell a missing object from a missing bucket: a listing does, once."""
        if not self._confirmed:
            try:
                with self.mapped("list"):
                    self._reading.list_objects_v2(Bucket=self.bucket, Prefix=self._prefix, MaxKeys=1)
            except Refused as refused:
                raise refused.as_error(self.name, "") from None
            self._confirmed = True

    def listing(self, prefix: str) -> Iterator[Listed]:
        # SeaweedFS walks folder by folder and gives `a/x` before `a-b/x`, which is not the order of keys.
        return iter(sorted(self._pages(prefix)))

    def _version(self, key: str) -> dict[str, str]:
        """Where objects are locked, somebody may have put another over the one that is meant, or hidden it."""
        if not self.lock_mode:
            return {}
        try:
            first = versions.first(self, self._reading, key)
        except Refused as refused:
            raise refused.as_error(self.name, key) from None
        if first is None:
            raise missing(self.name, key)
        return {"VersionId": first.id}

    def _pages(self, prefix: str) -> Iterator[Listed]:
        if self.lock_mode:
            for one in self._kept(prefix):
                if (first := one.first) is not None:
                    yield Listed(one.key.removeprefix(self._prefix), first.size, first.tag)
            return
        for page in self._answers(prefix):
            for entry in page.get("Contents", ()):
                yield Listed(entry["Key"].removeprefix(self._prefix), entry["Size"], entry.get("ETag", ""))

    def folders(self, prefix: str) -> tuple[str, ...]:
        begin = len(self.full_key(prefix))
        pages = self._answers(prefix, Delimiter="/")
        return tuple(sorted({one["Prefix"][begin:-1] for page in pages for one in page.get("CommonPrefixes", ())}))

    def _answers(self, prefix: str, **more: str) -> Iterator[Any]:
        """A listing as the service pages it."""
        where = {"Bucket": self.bucket, "Prefix": self.full_key(prefix), **more}
        token: dict[str, str] = {}
        while True:
            try:
                with self.mapped(f"list {prefix}"):
                    page = self._reading.list_objects_v2(**where, **token)
            except Refused as refused:
                raise refused.as_error(self.name, prefix) from None
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        try:
            with self.mapped(f"delete {key}"):
                if not self.lock_mode:
                    answer = self._removing.delete_object(Bucket=self.bucket, Key=self.full_key(key))
                    if not answer.get("DeleteMarker"):
                        return
            # The bucket keeps versions: so far nothing is removed.
            versions.remove(self, self._removing, key)
        except Refused as refused:
            if refused.kind != "missing":
                raise refused.as_error(self.name, key) from None

    def compare_and_set(self, key: str, expected: str | None, data: bytes) -> str:
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        try:
            with self.mapped(f"write {key}"):
                answer = self.client.put_object(Bucket=self.bucket, Key=self.full_key(key), Body=data, **condition)
        except Refused as refused:
            if refused.kind in ("exists", "missing", "busy"):
                raise moved(self.name, key) from None
            raise refused.as_error(self.name, key) from None
        return str(answer["ETag"])

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        try:
            with self.mapped(f"read {key}"):
                answer = self._reading.get_object(Bucket=self.bucket, Key=self.full_key(key))
                with contextlib.closing(answer["Body"]) as body:
                    return body.read(), str(answer["ETag"])
        except Refused as refused:
            if refused.kind == "missing":
                return None
            raise refused.as_error(self.name, key) from None

    def sweep(self, prefix: str, older_than_seconds: float) -> list[str]:
        oldest = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        gone = []
        marker: dict[str, str] = {}
        while True:
            try:
                with self.mapped("list unfinished uploads"):
                    page = self._removing.list_multipart_uploads(
                        Bucket=self.bucket, Prefix=self.full_key(prefix), **marker
                    )
                for entry in page.get("Uploads", ()):
                    if entry["Initiated"] <= oldest and self._last_part(entry) <= oldest:
                        with self.mapped("end an unfinished upload"):
                            self._removing.abort_multipart_upload(
                                Bucket=self.bucket, Key=entry["Key"], UploadId=entry["UploadId"]
                            )
                        gone.append(entry["Key"].removeprefix(self._prefix))
            except Refused as refused:
                raise refused.as_error(self.name, prefix) from None
            if not page.get("IsTruncated"):
                return sorted(gone)
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _last_part(self, upload: Any) -> datetime:
        """When the newest part of an unfinished upload came, or the upload began: one that still runs stays."""
        newest: datetime = upload["Initiated"]
        where = {"Bucket": self.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        marker: dict[str, Any] = {}
        while True:
            with self.mapped("list the parts of an unfinished upload"):
                page = self._removing.list_parts(**where, **marker)
            newest = max([newest, *(part["LastModified"] for part in page.get("Parts", ()))])
            if not page.get("IsTruncated"):
                return newest
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def keep(self, key: str, until: datetime) -> None:
        if not self.lock_mode:
            raise cannot_lock(self.name)
        try:
            first = versions.first(self, self.client, key)
            if first is None:
                raise missing(self.name, key)
            where = {"Bucket": self.bucket, "Key": self.full_key(key), "VersionId": first.id}
            with self.mapped(f"look at the lock of {key}"):
                try:
                    said = self.client.get_object_retention(**where).get("Retention", {})
                except self.client.exceptions.ClientError as error:
                    if error.response.get("Error", {}).get("Code") != "NoSuchObjectLockConfiguration":
                        raise
                    said = {}
            if said.get("Mode") == self.lock_mode and said.get("RetainUntilDate", until) >= until:
                return
            with self.mapped(f"lock {key}"):
                self.client.put_object_retention(
                    **where,
                    # Services keep whole seconds: never a lock that ends before it should.
                    Retention={"Mode": self.lock_mode, "RetainUntilDate": until.replace(microsecond=0) + _SECOND},
                )
        except Refused as refused:
            raise refused.as_error(self.name, key) from None

    def tampered(self, prefix: str) -> Iterator[tuple[str, str]]:
        for one in self._kept(prefix) if self.lock_mode else ():
            key = one.key.removeprefix(self._prefix)
            if one.hidden and one.versions:
                yield key, "somebody hid it behind a delete marker"
            elif len(one.versions) > 1:
                yield key, f"somebody put {len(one.versions) - 1} others over it"

    def _kept(self, prefix: str) -> Iterator[versions.Kept]:
        try:
            yield from versions.kept(self, self._reading, prefix)
        except Refused as refused:
            raise refused.as_error(self.name, prefix) from None

    def writer_may_delete(self, key: str) -> bool | None:
        if not self._identities.apart:
            return None
        try:
            with self.mapped(f"delete {key}"):
                self.client.delete_object(Bucket=self.bucket, Key=self.full_key(key))
        except (AegisError, Refused) as error:
            if isinstance(error, AegisError) and error.code == "repository-denied":
                return False
            raise error if isinstance(error, AegisError) else error.as_error(self.name, key) from None
        return True

    def close(self) -> None:
        self._identities.close(lambda client: client.close())


def _hex(text: str | None, size: int) -> str | None:
    """A whole-object checksum as hex; None for one made of parts (`...-3`), which says nothing of the whole."""
    if not text or "-" in text:
        return None
    with contextlib.suppress(ValueError):
        raw = base64.b64decode(text, validate=True)
        if len(raw) == size:
            return raw.hex()
    return None
