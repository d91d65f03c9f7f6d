"""How Azure takes an object in blocks: staged with the checksum of each, committed on the condition that the name is
free. Unfinished blocks hang on the name they were meant for, so each tells by its id whose it is and when it was sent.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from aegis_plan.errors import AegisError
from aegis_plan.repositories.contract import Head
from aegis_plan.repositories.parted import Sums
from aegis_plan.repositories.refused import Refused

if TYPE_CHECKING:
    from aegis_plan.repositories.azure import AzureRepository

GROW_EVERY = 5000
"""Blocks after which their size doubles: the 50,000 that the service allows then hold more than its largest object."""
LARGEST = 4000 << 20
"""Bytes of one block, at most."""
_WRITER = 8


class BlockId(NamedTuple):
    """What an id says. All ids of one name have to be equally long."""

    writer: str
    sent: int
    """Seconds since 1970."""

    def text(self, number: int) -> str:
        return f"{self.writer}{self.sent:010d}{number:06d}"

    @classmethod
    def of(cls, text: str) -> BlockId | None:
        """None for blocks that are not ours."""
        if len(text) != _WRITER + 16 or not text[_WRITER:].isdigit():
            return None
        return cls(text[:_WRITER], int(text[_WRITER : _WRITER + 10]))


class BlockParts:
    """See `parted.Parts`."""

    grow_every, largest_part = GROW_EVERY, LARGEST

    def __init__(self, repository: AzureRepository, key: str) -> None:
        self.name, self.part_size = repository.name, repository.part_size
        self._repository, self._key = repository, key
        self._writer = secrets.token_hex(_WRITER // 2)

    def whole(self, data: bytes) -> Head:
        return self._repository.put(self._key, data)

    def begin(self) -> None:
        """Nothing is told before the first block."""

    def part(self, number: int, data: bytes) -> str:
        block = BlockId(self._writer, int(time.time())).text(number)
        try:
            with self._repository.mapped(f"send block {number} of {self._key}"):
                # The service compares the checksum of every block before it keeps it.
                self._blob().stage_block(block, data, length=len(data), validate_content=True)
        except Refused as refused:
            raise refused.as_error(self.name, self._key) from None
        return block

    def complete(self, parts: list[str], sums: Sums) -> Head:
        from azure.storage.blob import BlobBlock

        token = f"{self._writer}-{sums.sha256}"
        accepted = self._repository.create(
            self._key,
            lambda condition: self._blob().commit_block_list(
                [BlobBlock(block_id=block) for block in parts],
                metadata=self._repository.metadata(sums, token),
                **condition,
            ),
        )
        return self._repository.settle(self._key, sums, token, accepted)

    def discard(self) -> None:
        """Blocks of others under the same name stay: one cannot take away only one's own."""
        with contextlib.suppress(AegisError, Refused):
            left = self._repository.unfinished(self._key)
            if left and all(block is not None and block.writer == self._writer for block in left):
                self._repository.forget_blocks(self._key)

    def _blob(self) -> Any:
        return self._repository.blob(self._key)
