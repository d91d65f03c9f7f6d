"""The known word that is nearest to an unknown one, for hints. It stops looking when there is too much to compare."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class Nearest:
    """Compares at most so many words in its life, so that many mistakes at once do not take long."""

    def __init__(self, comparisons: int = 5000) -> None:
        self.left = comparisons

    def hint(self, word: str, known: Iterable[str]) -> str:
        """`did you mean 'x'?`, or what is known when nothing is near. A tuple is taken as sorted already."""
        words = known if isinstance(known, tuple) else tuple(sorted(known))
        if not words:
            return "none is declared"
        if len(words) <= self.left and len(word) <= 100:
            self.left -= len(words)
            near = get_close_matches(word, words, n=1, cutoff=0.6)
            if near:
                return f"did you mean '{near[0]}'?"
        shown = ", ".join(words[:12])
        return f"known: {shown}" + (f" and {len(words) - 12} more" if len(words) > 12 else "")
