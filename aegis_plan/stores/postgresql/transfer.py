"""What a server compressed for the way to us, as it was before. It holds one piece, however far that unfolds."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import IO, cast

from aegis_plan.errors import UnavailableError

OPTIONS = {
    "none": "",
    "gzip": ", COMPRESSION 'gzip', COMPRESSION_DETAIL 'level=1'",
    "zstd": ", COMPRESSION 'zstd', COMPRESSION_DETAIL 'level=1'",
}
"""Of BASE_BACKUP, by the word of the documents. The lowest level: it is the server's processor that does the work."""
PIECE = 256 << 10


class _Source:
    """An iterator of bytes as a stream that can be read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, b""

    def read(self, size: int) -> bytes:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._left = chunk
        piece, self._left = self._left[:size], self._left[size:]
        return piece


def _zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(
        cast("IO[bytes]", _Source(chunks)), read_across_frames=True
    ) as stream:
        while piece := stream.read(PIECE):
            yield piece


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    opened = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        left = chunk
        while left:
            if piece := opened.decompress(left, PIECE):
                yield piece
            left = opened.unconsumed_tail
    while piece := opened.decompress(opened.unconsumed_tail, PIECE):
        yield piece


_OPENERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {".zst": _zstd, ".gz": _gzip}


def opened(name: str, chunks: Iterator[bytes], where: str) -> tuple[str, Iterator[bytes]]:
    """The name of an archive as the server spells it without the way it came, and its bytes."""
    for ending, opener in _OPENERS.items():
        if name.endswith(ending):
            return name.removesuffix(ending), _told(opener(chunks), where)
    return name, chunks


def _told(chunks: Iterator[bytes], where: str) -> Iterator[bytes]:
    import zstandard

    try:
        yield from chunks
    except (zlib.error, zstandard.ZstdError) as error:
        raise UnavailableError(
            "transfer-damaged", "what the server compressed cannot be read", f"{where}: {error}", "try again"
        ) from None
