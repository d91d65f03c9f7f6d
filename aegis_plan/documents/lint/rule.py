"""What a rule of lint is: an id, a severity, a sentence, and a look at the documents. It knows no rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aegis_plan.documents.lint.scope import Scope
from aegis_plan.documents.tree import Path

Severity: TypeAlias = Literal["breach", "warning", "note"]
"""A breach says that declared objectives cannot hold together; `aegis validate` then ends with 3."""


@dataclass(frozen=True)
class Wrong:
    """One place that a rule objects to. Its path is also the subject by which it is accepted."""

    path: Path
    detail: str
    """The reason, with the arithmetic."""
    hint: str
    """The way out."""
    key: bool = False
    """Whether the key at the path is meant, not its value."""


@dataclass(frozen=True)
class Rule:
    """`look` yields every place that the rule objects to."""

    id: str
    severity: Severity
    summary: str
    look: Callable[[Scope], Iterator[Wrong]]


def rule(name: str, severity: Severity, summary: str) -> Callable[[Callable[[Scope], Iterator[Wrong]]], Rule]:
    """Makes a rule of the function below it."""

    def made(look: Callable[[Scope], Iterator[Wrong]]) -> Rule:
        return Rule(name, severity, summary, look)

    return made
