"""What a fold of a shelf gave is kept for as long as the shelf is there, for all who ask. Nobody changes what they are
given."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from aegis_plan.catalog.holding import Shelf

P = ParamSpec("P")
T = TypeVar("T")


def once_a_shelf(fold: Callable[Concatenate[Shelf, P], T]) -> Callable[Concatenate[Shelf, P], T]:
    """The same fold, done once for each shelf that is alive and for each of the other arguments."""
    known: dict[int, dict[object, T]] = {}

    def folded(shelf: Shelf, /, *args: P.args, **kwargs: P.kwargs) -> T:
        place = id(shelf)
        if place not in known:
            known[place] = {}
            weakref.finalize(shelf, known.pop, place, None)
        found, asked = known[place], (args, tuple(sorted(kwargs.items())))
        if asked not in found:
            found[asked] = fold(shelf, *args, **kwargs)
        return found[asked]

    return folded
