"""How S3 takes an object in parts: a multipart upload, completed on the condition that the key is free and that the
whole checksum fits.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aegis_plan.errors import AegisError
from aegis_plan.repositories.contract import Head
from aegis_plan.repositories.parted import Sums
from aegis_plan.repositories.refused import Refused

if TYPE_CHECKING:
    from aegis_plan.repositories.s3 import S3Repository

GROW_EVERY = 100
"""Parts after which the part size doubles: the 1,000 parts that some services allow, where the protocol allows 10,000,
then hold more than a terabyte."""
LARGEST = 5 << 30
"""Bytes of one part, at most."""


class MultipartParts:
    """See `parted.Parts`."""

    grow_every, largest_part = GROW_EVERY, LARGEST

    def __init__(self, repository: S3Repository, key: str) -> None:
        self.name, self.part_size = repository.name, repository.part_size
        self._repository, self._key = repository, key
        self._where = {"Bucket": repository.bucket, "Key": repository.full_key(key)}
        self._upload = ""
        self._completed = False

    def whole(self, data: bytes) -> Head:
        return self._repository.put(self._key, data)

    def begin(self) -> None:
        extra = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"} if self._repository.checksums else {}
        with self._doing("begin"):
            answer = self._repository.client.create_multipart_upload(**self._where, **extra)
        self._upload = str(answer["UploadId"])

    def part(self, number: int, data: bytes) -> dict[str, Any]:
        if self._repository.checksums:
            crc = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
            extra, kept = {"ChecksumCRC32": crc}, {"ChecksumCRC32": crc}
        else:
            extra, kept = {"ContentMD5": base64.b64encode(hashlib.md5(data).digest()).decode()}, {}
        with self._doing(f"send part {number} of"):
            answer = self._repository.client.upload_part(
                **self._where, UploadId=self._upload, PartNumber=number, Body=data, **extra
            )
        return {"ETag": answer["ETag"], "PartNumber": number, **kept}

    def complete(self, parts: list[dict[str, Any]], sums: Sums) -> Head:
        self._complete(parts, sums)
        return self._repository.settle(self._key, sums, self._completed)

    def _complete(self, parts: list[dict[str, Any]], sums: Sums) -> None:
        if self._completed:
            return
        extra: dict[str, Any] = {}
        if self._repository.checksums:
            crc = base64.b64encode(bytes.fromhex(sums.crc32)).decode()
            extra = {"ChecksumCRC32": crc, "ChecksumType": "FULL_OBJECT"}
        try:
            with self._repository.mapped(f"complete {self._key}"):
                self._repository.client.complete_multipart_upload(
                    **self._where,
                    UploadId=self._upload,
                    MultipartUpload={"Parts": parts},
                    IfNoneMatch="*",
                    **extra,
                )
                self._completed = True
        except Refused as refused:
            # Somebody was first, or the reply to an earlier try of ours was lost: the object itself tells.
            if refused.kind not in ("exists", "upload-gone", "missing"):
                raise refused.as_error(self._repository.name, self._key) from None

    def discard(self) -> None:
        if self._upload and not self._completed:
            with contextlib.suppress(AegisError, Refused), self._repository.mapped("abort"):
                self._repository.client.abort_multipart_upload(**self._where, UploadId=self._upload)

    @contextlib.contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            with self._repository.mapped(f"{what} {self._key}"):
                yield
        except Refused as refused:
            raise refused.as_error(self._repository.name, self._key) from None
