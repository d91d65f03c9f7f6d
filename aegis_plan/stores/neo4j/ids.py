"""Numbers by the id of a node or relationship, in pages that exist where ids do: 8 bytes each, 1 bit for a mark."""

from __future__ import annotations

from array import array

_BITS = 16
_SIZE = 1 << _BITS


class Numbers:
    """One number each; 0 is none."""

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}

    def __setitem__(self, identity: int, number: int) -> None:
        page = self._pages.get(identity >> _BITS)
        if page is None:
            page = self._pages[identity >> _BITS] = array("Q", bytes(8 * _SIZE))
        page[identity & (_SIZE - 1)] = number

    def get(self, identity: int) -> int:
        page = self._pages.get(identity >> _BITS)
        return page[identity & (_SIZE - 1)] if page is not None else 0


class Marks:
    """Which ids were seen."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, identity: int) -> bool:
        """Whether it was new."""
        page = self._pages.get(identity >> _BITS)
        if page is None:
            page = self._pages[identity >> _BITS] = bytearray(_SIZE >> 3)
        place, bit = (identity & (_SIZE - 1)) >> 3, 1 << (identity & 7)
        if page[place] & bit:
            return False
        page[place] |= bit
        return True
