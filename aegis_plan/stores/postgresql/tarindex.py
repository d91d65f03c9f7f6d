"""Where the files of an archive lie, noted while it streams by. It keeps names and sizes, and no byte of theirs."""

from __future__ import annotations

from typing import Any


class TarIndex:
    """Finds the members of a tar archive that streams by; looks at nothing but headers."""

    def __init__(self) -> None:
        self.members: list[list[Any]] = []
        """Path, offset of its bytes in the archive, size."""
        self.ended = False
        """Whether the last header was the empty one that ends an archive."""
        self._at = self._next = 0
        self._head = b""

    def feed(self, chunk: bytes | memoryview) -> None:
        end = self._at + len(chunk)
        while self._next + len(self._head) < end:
            begin = self._next + len(self._head) - self._at
            self._head += bytes(chunk[begin : begin + 512 - len(self._head)])
            if len(self._head) < 512:
                break
            head, self._head, offset = self._head, b"", self._next + 512
            size, self.ended = 0, not head[0]
            if head[0]:
                field = head[124:136]
                size = int.from_bytes(field[1:], "big") if field[0] & 0x80 else int(field.rstrip(b"\0 ") or b"0", 8)
                prefix = head[345:500].rstrip(b"\0").decode("utf-8", "replace") if head[257:262] == b"ustar" else ""
                name = head[:100].rstrip(b"\0").decode("utf-8", "replace")
                if head[156:157] in (b"0", b"\0"):
                    self.members.append([f"{prefix}/{name}" if prefix else name, offset, size])
                else:
                    size = 0
            self._next = offset + (size + 511) // 512 * 512
        self._at = end
