"""One object on its way to S3: in one request when it is small, else in parts sent by a few threads. Nothing becomes
visible before all parts are there and the whole checksum fits.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import time
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from aegis_plan.errors import AegisError, DamageError, UnavailableError
from aegis_plan.repositories.contract import Head
from aegis_plan.repositories.s3errors import Refused

if TYPE_CHECKING:
    from aegis_plan.repositories.s3 import S3Repository

T = TypeVar("T")
THREADS = 3
"""Parts under way at once; each costs its size in memory."""
ATTEMPTS = 7
FIRST_WAIT = 0.25
"""Seconds before the second attempt; doubles, so that an outage of about 15 s is outlived."""
GROW_EVERY = 1000
"""Parts after which the part size doubles: the 10,000 parts that the protocol allows then hold more than its largest
object."""


class MultipartUpload:
    """See `contract.Upload`."""

    def __init__(self, repository: S3Repository, key: str) -> None:
        self._repository, self._key = repository, key
        self._where = {"Bucket": repository.bucket, "Key": repository.full_key(key)}
        self._waiting = bytearray()
        self._digest = hashlib.sha256()
        self._crc = 0
        self._size = 0
        self._upload: str | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: deque[Future[dict[str, Any]]] = deque()
        self._parts: list[dict[str, Any]] = []
        self._count = 0
        self._over = False
        self._completed = False

    @property
    def _part_size(self) -> int:
        return self._repository.part_size << (self._count // GROW_EVERY)

    def write(self, part: bytes) -> None:
        self._digest.update(part)
        self._crc = zlib.crc32(part, self._crc)
        self._size += len(part)
        self._waiting += part
        # What would fill exactly one part waits, so that a small object goes in one request.
        while len(self._waiting) > self._part_size:
            size = self._part_size
            self._send(bytes(memoryview(self._waiting)[:size]))
            del self._waiting[:size]

    def commit(self, sha256: str) -> Head:
        try:
            if self._digest.hexdigest() != sha256:
                raise DamageError(
                    "arrived-damaged",
                    "what arrived in a repository is not what was sent",
                    f"{self._repository.name}: {self._key}",
                    "try again; if it repeats, test the machine's memory",
                )
            if self._upload is None:
                data = bytes(self._waiting)
                head = again(lambda: self._repository.put(self._key, data))
            else:
                if self._waiting:
                    self._send(bytes(self._waiting))
                    self._waiting.clear()
                while self._under_way:
                    self._parts.append(self._under_way.popleft().result())
                self._complete()
                head = again(lambda: self._repository.settle(self._key, self._size, sha256, f"{self._crc:08x}"))
            return head
        finally:
            self.abort()

    def abort(self) -> None:
        if self._over:
            return
        self._over = True
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        if self._upload is not None and not self._completed:
            with contextlib.suppress(AegisError, Refused), self._repository.mapped("abort"):
                self._repository.client.abort_multipart_upload(**self._where, UploadId=self._upload)
        self._waiting.clear()

    def _send(self, data: bytes) -> None:
        if self._upload is None:
            self._upload = again(self._create)
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="part")
        while len(self._under_way) >= THREADS:
            self._parts.append(self._under_way.popleft().result())
        self._count += 1
        number = self._count
        if self._pool is None:
            raise _given_up(self._key)
        self._under_way.append(self._pool.submit(lambda: again(lambda: self._part(number, data), lambda: self._over)))

    def _create(self) -> str:
        extra = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"} if self._repository.checksums else {}
        with self._doing("begin"):
            answer = self._repository.client.create_multipart_upload(**self._where, **extra)
        return str(answer["UploadId"])

    def _part(self, number: int, data: bytes) -> dict[str, Any]:
        if self._over:
            raise _given_up(self._key)
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

    def _complete(self) -> None:
        extra: dict[str, Any] = {}
        if self._repository.checksums:
            crc = base64.b64encode(self._crc.to_bytes(4, "big")).decode()
            extra = {"ChecksumCRC32": crc, "ChecksumType": "FULL_OBJECT"}

        def complete() -> None:
            try:
                with self._repository.mapped(f"complete {self._key}"):
                    self._repository.client.complete_multipart_upload(
                        **self._where,
                        UploadId=self._upload,
                        MultipartUpload={"Parts": self._parts},
                        IfNoneMatch="*",
                        **extra,
                    )
                    self._completed = True
            except Refused as refused:
                # Somebody was first, or the reply to an earlier try of ours was lost: the object itself tells.
                if refused.kind not in ("exists", "upload-gone", "missing"):
                    raise refused.as_error(self._repository.name, self._key) from None

        again(complete)

    @contextlib.contextmanager
    def _doing(self, what: str) -> Any:
        try:
            with self._repository.mapped(f"{what} {self._key}"):
                yield
        except Refused as refused:
            raise refused.as_error(self._repository.name, self._key) from None


def again(ask: Callable[[], T], over: Callable[[], bool] = lambda: False) -> T:
    """Tries a request of which trying twice does no harm, until it works or was tried often enough."""
    attempt = 0
    while True:
        try:
            return ask()
        except (UnavailableError, DamageError) as error:
            attempt += 1
            passing = isinstance(error, UnavailableError) or error.code == "arrived-damaged"
            if attempt >= ATTEMPTS or over() or not passing or error.code == "repository-full":
                raise
        time.sleep(FIRST_WAIT * 2 ** (attempt - 1) * (0.5 + random.random()))


def _given_up(key: str) -> AegisError:
    return AegisError("upload-over", "an upload was given up", key, "this follows from an earlier failure")
