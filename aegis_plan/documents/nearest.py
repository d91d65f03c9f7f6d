"""The known word that is nearest to an unknown one, for hints. It stops looking when there is too much to compare."""

from __future__ import annotations

from collections.abc import Iterable

CUTOFF = 0.6
"""How alike two words have to be, of 1."""
LONGEST = 100


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was meant, or None where none is near."""
    # Read only here: a command line without mistakes has no need of it.
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=CUTOFF) if len(word) <= LONGEST else []
    return near[0] if near else None


def meant(word: str, known: Iterable[str], otherwise: str) -> str:
    """`did you mean 'x'?`, or something else to say when nothing is near."""
    near = nearest(word, known)
    return f"did you mean '{near}'?" if near is not None else otherwise


class Nearest:
    """Compares at most so many words in its life, so that many mistakes at once do not take long."""

    def __init__(self, comparisons: int = 5000) -> None:
        self.left = comparisons

    def hint(self, word: str, known: Iterable[str]) -> str:
        """`did you mean 'x'?`, or what is known when nothing is near. A tuple is taken as sorted already."""
        words = known if isinstance(known, tuple) else tuple(sorted(known))
        if not words:
            return "none is declared"
        shown = ", ".join(words[:12])
        otherwise = f"known: {shown}" + (f" and {len(words) - 12} more" if len(words) > 12 else "")
        if len(words) > self.left or len(word) > LONGEST:
            return otherwise
        self.left -= len(words)
        return meant(word, words, otherwise)
