"""A repository in a container of Azure's blob service. It never overwrites an object, and never counts one as stored
before the service compared the checksum of every block and gave back size and writer.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from aegis_plan.documents.model import AzureRepository as Declared
from aegis_plan.errors import AegisError
from aegis_plan.repositories.azureconnect import connect
from aegis_plan.repositories.azureerrors import translate
from aegis_plan.repositories.blocks import BlockId, BlockParts
from aegis_plan.repositories.contract import Head, Listed, cannot_lock
from aegis_plan.repositories.identity import Identities, Purpose
from aegis_plan.repositories.parted import PartedUpload, Sums
from aegis_plan.repositories.refused import Refused, absent, conflict, missing, moved, short

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
LEAST_PART = 1 << 20
NOTHING = {"aegis": "nothing"}
"""Metadata of an empty object that stands for none: the service forgets unfinished blocks only when something takes
their name. It is removed at once, and taken for nothing by whoever meets it in between."""


class AzureRepository:
    """A container, below a prefix; see `contract.Repository`. Connects at its first use.

    What a writer stores beside an object proves nothing to others, and the service computes no checksum of an object
    that was sent in blocks: `head` claims, and whoever has to be sure reads the bytes."""

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
        self.part_size = max(declared.part_size, LEAST_PART)
        self._declared, self._resolve = declared, resolve
        self._prefix = f"{declared.prefix.strip('/')}/" if declared.prefix.strip("/") else ""
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self._identities = Identities(name, declared, self._connect)

    @property
    def container(self) -> Any:
        """The SDK's client to write, made once; it is safe to use from several threads."""
        return self._identities.client("write")

    def _connect(self, identity: Any) -> Any:
        with self.mapped("connect"):
            return connect(
                self.name,
                self._declared,
                identity,
                self._resolve,
                connect_seconds=self._connect_seconds,
                read_seconds=self._read_seconds,
            )

    def blob(self, key: str, purpose: Purpose = "write") -> Any:
        """The SDK's client of one object."""
        return self._identities.client(purpose).get_blob_client(self.full_key(key))

    def full_key(self, key: str) -> str:
        """The name in the container."""
        return self._prefix + key

    @contextlib.contextmanager
    def mapped(self, doing: str) -> Iterator[None]:
        """Turns whatever the SDK raises into an error of ours, without any of its text."""
        try:
            yield
        except (AegisError, Refused):
            raise
        except Exception as error:  # noqa: BLE001 - azure.core, requests, ssl; what is none of them is raised again
            raise translate(error, self.name, doing) from None

    def metadata(self, sums: Sums, token: str) -> dict[str, str]:
        """What is stored beside an object. By the token its writer finds out that it was he."""
        return {"sha256": sums.sha256, "crc32": sums.crc32, "writer": token}

    def open(self, key: str) -> PartedUpload:
        return PartedUpload(BlockParts(self, key), key)

    def put(self, key: str, data: bytes) -> Head:
        sums = Sums(len(data), hashlib.sha256(data).hexdigest(), f"{zlib.crc32(data):08x}")
        token = secrets.token_hex(8)
        accepted = self.create(
            key,
            lambda condition: self.blob(key).upload_blob(
                data,
                length=len(data),
                # The condition says what may be there; the SDK's own flag only adds another one.
                overwrite=True,
                metadata=self.metadata(sums, token),
                validate_content=True,
                **condition,
            ),
        )
        return self.settle(key, sums, token, accepted)

    def create(self, key: str, write: Callable[[dict[str, Any]], object]) -> bool:
        """Writes on the condition that nothing has the name. What has it is no error: `settle` tells whose it is.

        Returns whether the service took what was written."""
        from azure.core import MatchConditions

        try:
            with self.mapped(f"write {key}"):
                write({"match_condition": MatchConditions.IfMissing})
            return True
        except Refused as refused:
            if refused.kind not in ("exists", "upload-gone"):
                raise refused.as_error(self.name, key) from None
            found = self._properties(key)
            if found is not None and _is_nothing(found):
                with contextlib.suppress(Refused), self.mapped(f"write {key}"):
                    write({"match_condition": MatchConditions.IfNotModified, "etag": found.etag})
                    return True
        return False

    def settle(self, key: str, sums: Sums, token: str, accepted: bool) -> Head:
        """Proves that the object under the key is the one meant, whoever wrote it. `accepted`: the service took ours.

        Raises DamageError `object-conflict`; where there is none DamageError `arrived-damaged` when it was accepted,
        and UnavailableError `repository-busy` when it was not."""
        found = self._properties(key)
        if found is None or _is_nothing(found):
            raise absent(self.name, key, accepted)
        head = Head(key, found.size, "service", sums.sha256, None, found.etag)
        if found.size != sums.size:
            raise conflict(self.name, key)
        if found.metadata.get("writer") == token:
            return head
        # Somebody else's: what he claims is no proof.
        digest = hashlib.sha256()
        for piece in self.get(key):
            digest.update(piece)
        if digest.hexdigest() != sums.sha256:
            raise conflict(self.name, key)
        return Head(key, found.size, "full", sums.sha256, None, found.etag)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if length == 0:
            return
        given = 0
        try:
            with self.mapped(f"read {key}"):
                answer = self.blob(key, "read").download_blob(
                    offset=offset or (None if length is None else 0), length=length, max_concurrency=1
                )
                if _is_nothing(answer.properties):
                    raise missing(self.name, key)
                pieces = iter(answer.chunks())
            while True:
                with self.mapped(f"read {key}"):
                    piece = next(pieces, None)
                if piece is None:
                    break
                given += len(piece)
                yield piece
        except Refused as refused:
            if refused.kind == "range":
                raise short(self.name, key, f"it ends before byte {offset}") from None
            raise refused.as_error(self.name, key) from None
        wanted = length if length is not None else answer.size
        if given != wanted:
            raise short(self.name, key, f"{given} of {wanted} bytes from {offset} came")

    def head(self, key: str) -> Head | None:
        found = self._properties(key)
        if found is None or _is_nothing(found):
            return None
        return Head(
            key,
            found.size,
            "size",
            tag=found.etag or "",
            claimed=found.metadata.get("sha256"),
            modified=found.last_modified,
        )

    def _properties(self, key: str) -> Any:
        try:
            with self.mapped(f"look at {key}"):
                return self.blob(key, "read").get_blob_properties()
        except Refused as refused:
            if refused.kind == "missing":
                return None
            raise refused.as_error(self.name, key) from None

    def listing(self, prefix: str) -> Iterator[Listed]:
        found = []
        for blob in self._blobs(prefix):
            key = blob.name.removeprefix(self._prefix)
            # Empty ones may stand for nothing, or for a folder where an account has folders.
            if not blob.size and ((look := self._properties(key)) is None or _is_nothing(look)):
                continue
            found.append(Listed(key, blob.size, blob.etag or ""))
        return iter(sorted(found))

    def folders(self, prefix: str) -> tuple[str, ...]:
        full = self.full_key(prefix)
        try:
            with self.mapped(f"list {prefix}"):
                # What lies right below has no slash at its end.
                found = self._identities.client("read").walk_blobs(name_starts_with=full, delimiter="/")
                return tuple(sorted({one.name[len(full) : -1] for one in found if one.name.endswith("/")}))
        except Refused as refused:
            raise refused.as_error(self.name, prefix) from None

    def _blobs(self, prefix: str, **more: Any) -> Iterator[Any]:
        try:
            with self.mapped(f"list {prefix}"):
                yield from self._identities.client("read").list_blobs(name_starts_with=self.full_key(prefix), **more)
        except Refused as refused:
            raise refused.as_error(self.name, prefix) from None

    def delete(self, key: str) -> None:
        try:
            with self.mapped(f"delete {key}"):
                self.blob(key, "prune").delete_blob(delete_snapshots="include")
        except Refused as refused:
            if refused.kind != "missing":
                raise refused.as_error(self.name, key) from None

    def compare_and_set(self, key: str, expected: str | None, data: bytes) -> str:
        from azure.core import MatchConditions

        condition: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
        if expected is not None:
            tag = expected if expected.startswith('"') else f'"{expected}"'
            condition = {"match_condition": MatchConditions.IfNotModified, "etag": tag}
        try:
            with self.mapped(f"write {key}"):
                answer = self.blob(key).upload_blob(
                    data, length=len(data), overwrite=True, validate_content=True, **condition
                )
        except Refused as refused:
            if refused.kind in ("exists", "missing", "busy"):
                raise moved(self.name, key) from None
            raise refused.as_error(self.name, key) from None
        return str(answer["etag"])

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        try:
            with self.mapped(f"read {key}"):
                answer = self.blob(key, "read").download_blob(max_concurrency=1)
                return answer.readall(), str(answer.properties.etag)
        except Refused as refused:
            if refused.kind == "missing":
                return None
            raise refused.as_error(self.name, key) from None

    def sweep(self, prefix: str, older_than_seconds: float) -> list[str]:
        """By the time at which the newest block of each was sent, which its id tells; foreign blocks stay."""
        oldest = time.time() - older_than_seconds
        gone = []
        for blob in list(self._blobs(prefix, include=["uncommittedblobs"])):
            if blob.size:
                continue
            key = blob.name.removeprefix(self._prefix)
            blocks = self.unfinished(key)
            if blocks and all(block is not None and block.sent <= oldest for block in blocks):
                self.forget_blocks(key)
                gone.append(key)
        return sorted(gone)

    def unfinished(self, key: str) -> list[BlockId | None]:
        """The blocks under a name that is not taken yet."""
        try:
            with self.mapped(f"list the blocks of {key}"):
                committed, waiting = self.blob(key, "read").get_block_list("all")
        except Refused as refused:
            if refused.kind == "missing":
                return []
            raise refused.as_error(self.name, key) from None
        return [] if committed else [BlockId.of(block.id) for block in waiting]

    def forget_blocks(self, key: str) -> None:
        """Takes the unfinished blocks under a name away. Raises as `put` and `delete`."""
        from azure.core import MatchConditions

        blob = self.blob(key, "prune")
        try:
            with self.mapped(f"forget the blocks of {key}"):
                put = blob.commit_block_list([], metadata=NOTHING, match_condition=MatchConditions.IfMissing)
                blob.delete_blob(match_condition=MatchConditions.IfNotModified, etag=put["etag"])
        except Refused as refused:
            if refused.kind not in ("exists", "missing"):
                raise refused.as_error(self.name, key) from None

    def keep(self, key: str, until: datetime) -> None:
        raise cannot_lock(self.name)

    def tampered(self, prefix: str) -> Iterator[tuple[str, str]]:
        return iter(())

    def writer_may_delete(self, key: str) -> bool | None:
        if not self._identities.apart:
            return None
        try:
            with self.mapped(f"delete {key}"):
                self.blob(key).delete_blob()
        except (AegisError, Refused) as error:
            if isinstance(error, AegisError) and error.code == "repository-denied":
                return False
            raise error if isinstance(error, AegisError) else error.as_error(self.name, key) from None
        return True

    def close(self) -> None:
        self._identities.close(lambda client: client.close())


def _is_nothing(found: Any) -> bool:
    metadata = found.metadata or {}
    return found.size == 0 and (metadata.get("aegis") == NOTHING["aegis"] or "hdi_isfolder" in metadata)
