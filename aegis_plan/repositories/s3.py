"""A repository in a bucket of S3 or of a service that speaks its protocol. It never overwrites an object, and never
counts one as stored before the service gave back its size and checksum.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_plan.documents.model import S3Repository as Declared
from aegis_plan.errors import AegisError
from aegis_plan.repositories.contract import Head, Listed
from aegis_plan.repositories.local import conflict, moved, short
from aegis_plan.repositories.multipart import MultipartParts
from aegis_plan.repositories.parted import PartedUpload, Sums
from aegis_plan.repositories.refused import Refused, absent
from aegis_plan.repositories.s3errors import translate

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
LEAST_PART = 5 << 20
_PIECE = 1 << 20
_POOL = 16


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
        self._declared = declared
        self._access, self._secret = resolve(declared.access_key), resolve(declared.secret_key)
        self._prefix = f"{declared.prefix.strip('/')}/" if declared.prefix.strip("/") else ""
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self._client: Any = None
        self._confirmed = False
        self._lock = threading.Lock()

    @property
    def client(self) -> Any:
        """The SDK's client, made once; it is safe to use from several threads."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        import boto3
        from botocore.config import Config

        declared = self._declared
        path_style = declared.path_style if declared.path_style is not None else bool(declared.endpoint)
        config = Config(
            connect_timeout=self._connect_seconds,
            read_timeout=self._read_seconds,
            # One policy of retries, ours: the SDK's own would multiply with it and cannot be stopped.
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=_POOL,
            tcp_keepalive=True,
            request_checksum_calculation=declared.checksums,
            # Whole-object checksums of answers say nothing of ranges, and every byte is verified by its seal.
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if path_style else "auto"},
        )
        with self.mapped("connect"):
            return boto3.session.Session().client(
                "s3",
                region_name=declared.region or ("us-east-1" if declared.endpoint else None),
                endpoint_url=declared.endpoint or None,
                aws_access_key_id=self._access or None,
                aws_secret_access_key=self._secret or None,
                verify=declared.ca or None,
                config=config,
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
        extra = {}
        if offset or length is not None:
            extra["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        try:
            with self.mapped(f"read {key}"):
                answer = self.client.get_object(Bucket=self.bucket, Key=self.full_key(key), **extra)
        except Refused as refused:
            if refused.kind == "range":
                raise short(self.name, key, f"it ends before byte {offset}") from None
            raise refused.as_error(self.name, key) from None
        body = answer["Body"]
        expected = answer.get("ContentLength")
        wanted = length if length is not None else expected
        given = 0
        try:
            if extra and answer["ResponseMetadata"]["HTTPStatusCode"] != 206 and (offset or expected != length):
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
        extra = {"ChecksumMode": "ENABLED"} if self.checksums else {}
        try:
            with self.mapped(f"look at {key}"):
                answer = self.client.head_object(Bucket=self.bucket, Key=self.full_key(key), **extra)
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
        )

    def _present(self) -> None:
        """An answer without a body does not tell a missing object from a missing bucket: a listing does, once."""
        if not self._confirmed:
            try:
                with self.mapped("list"):
                    self.client.list_objects_v2(Bucket=self.bucket, Prefix=self._prefix, MaxKeys=1)
            except Refused as refused:
                raise refused.as_error(self.name, "") from None
            self._confirmed = True

    def listing(self, prefix: str) -> Iterator[Listed]:
        # SeaweedFS walks folder by folder and gives `a/x` before `a-b/x`, which is not the order of keys.
        return iter(sorted(self._pages(prefix)))

    def _pages(self, prefix: str) -> Iterator[Listed]:
        token: dict[str, str] = {}
        while True:
            try:
                with self.mapped(f"list {prefix}"):
                    page = self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.full_key(prefix), **token)
            except Refused as refused:
                raise refused.as_error(self.name, prefix) from None
            for entry in page.get("Contents", ()):
                yield Listed(entry["Key"].removeprefix(self._prefix), entry["Size"], entry.get("ETag", ""))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        try:
            with self.mapped(f"delete {key}"):
                self.client.delete_object(Bucket=self.bucket, Key=self.full_key(key))
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
                answer = self.client.get_object(Bucket=self.bucket, Key=self.full_key(key))
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
                    page = self.client.list_multipart_uploads(
                        Bucket=self.bucket, Prefix=self.full_key(prefix), **marker
                    )
                    for entry in page.get("Uploads", ()):
                        if entry["Initiated"] <= oldest:
                            self.client.abort_multipart_upload(
                                Bucket=self.bucket, Key=entry["Key"], UploadId=entry["UploadId"]
                            )
                            gone.append(entry["Key"].removeprefix(self._prefix))
            except Refused as refused:
                raise refused.as_error(self.name, prefix) from None
            if not page.get("IsTruncated"):
                return sorted(gone)
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


def _hex(text: str | None, size: int) -> str | None:
    """A whole-object checksum as hex; None for one made of parts (`...-3`), which says nothing of the whole."""
    if not text or "-" in text:
        return None
    with contextlib.suppress(ValueError):
        raw = base64.b64decode(text, validate=True)
        if len(raw) == size:
            return raw.hex()
    return None
