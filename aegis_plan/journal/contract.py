"""What an executor needs of a journal: the file on the disk, or one in memory where a run is only thought through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from aegis_plan.errors import AegisError
from aegis_plan.journal.entry import Entry

if TYPE_CHECKING:
    from aegis_plan.journal.file import Draft


class Book(Protocol):
    """Takes entries in order."""

    def append(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Writes the entries in one go; when it returns they are safe."""

    def mirrored(self, number: int, timeout: float) -> bool:
        """Whether an entry has a copy outside, after at most `timeout` seconds."""

    @property
    def mirror_trouble(self) -> AegisError | None:
        """Why there is no copy, where that is known."""
