"""The three standard streams of this process, made such that telling never changes what a command does. It never hides
that a file could not be written."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

_GONE = (errno.EPIPE, errno.EIO)
"""The reader of a pipe ended, the terminal was closed."""


_refused: list[OSError] = []
"""Why output could not be written, by a full disk say; told once the command has ended, for it is not to stop there."""


class _Raw(io.FileIO):
    """A stream whose reader may go away; what is written after that is lost, as the reader wants it. What is lost
    otherwise is kept in mind."""

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        try:
            return super().write(data)
        except OSError as error:
            if isinstance(error, BlockingIOError):
                raise
            if error.errno not in _GONE and self.fileno() == 1:
                _refused.append(error)
            return memoryview(data).nbytes


def lost() -> OSError | None:
    """Why a part of standard output is lost, where its reader did not want that."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    return _refused[0] if _refused else None


def steady() -> None:
    """Opens what is closed and makes output outlive its reader: `aegis apply | head` applies the whole plan."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The next file that is opened would get this number, a journal say, and messages would go into it.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the life of the process
    sys.stdout = _outliving(sys.stdout, 1, "strict")
    sys.stderr = _outliving(sys.stderr, 2, "backslashreplace")


def _outliving(stream: TextIO | None, number: int, errors: str) -> TextIO:
    if stream is None:
        return open(number, "w", encoding="utf-8", errors=errors, closefd=False)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Raw(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
