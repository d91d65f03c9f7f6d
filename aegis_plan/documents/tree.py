"""A document as people wrote it: maps, lists and texts, each with the place where it stands. It gives no meaning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from aegis_plan.errors import Position

Path: TypeAlias = tuple[str | int, ...]


class Node:
    """A map, a list, a text or nothing (`null`), with its place; maps also know where each key stands.

    `weight` counts the nodes that it stands for, shared ones as often as they are used."""

    __slots__ = ("column", "file", "keys", "line", "value", "weight")

    def __init__(self, value: dict[str, Node] | list[Node] | str | None, file: str, line: int, column: int) -> None:
        self.value = value
        self.file = file
        self.line = line
        self.column = column
        self.keys: dict[str, Position] = {}
        self.weight = 1

    @property
    def position(self) -> Position:
        """Where it begins."""
        return Position(self.file, self.line, self.column)

    def plain(self) -> Any:
        """The same as dicts, lists, texts and None. Depth is bounded by the parser."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def child(self, part: str | int) -> Node | None:
        """What stands below a key or an index."""
        if isinstance(self.value, dict):
            return self.value.get(str(part))
        if isinstance(self.value, list) and isinstance(part, int) and 0 <= part < len(self.value):
            return self.value[part]
        return None

    def at(self, path: Sequence[str | int]) -> Node | None:
        """What stands at the path."""
        node: Node | None = self
        for part in path:
            if node is None:
                return None
            node = node.child(part)
        return node

    def place(self, path: Sequence[str | int], *, key: bool = False) -> Position:
        """The place of the value at the path, or of its key; where nothing stands, of the nearest thing above it.

        A map that is nearest above is shown by its key, for that is what people look for."""
        node: Node = self
        above: Position = self.position
        for index, part in enumerate(path):
            child = node.child(part)
            named = node.keys.get(str(part)) if isinstance(node.value, dict) else None
            if child is None:
                return above
            if key and index == len(path) - 1 and named is not None:
                return named
            above = named or child.position
            node = child
        return node.position if path and not isinstance(node.value, dict) else above

    def texts(self, path: Path = ()) -> Iterator[tuple[Path, str]]:
        """Every text with its path."""
        if isinstance(self.value, dict):
            for name, node in self.value.items():
                yield from node.texts((*path, name))
        elif isinstance(self.value, list):
            for index, node in enumerate(self.value):
                yield from node.texts((*path, index))
        elif self.value is not None:
            yield path, self.value

    def each(self, pattern: Sequence[str], path: Path = ()) -> Iterator[tuple[Path, Node]]:
        """Every node that a pattern names: `*` is any key of a map, `[]` any item of a list. Wrong shapes match
        nothing."""
        if not pattern:
            yield path, self
            return
        head, *rest = pattern
        if head == "[]":
            if isinstance(self.value, list):
                for index, node in enumerate(self.value):
                    yield from node.each(rest, (*path, index))
        elif isinstance(self.value, dict):
            chosen = self.value if head == "*" else [head] if head in self.value else []
            for name in chosen:
                yield from self.value[name].each(rest, (*path, name))


def dotted(path: Sequence[str | int]) -> str:
    """`stores.policy-db.members` as messages name a place within the documents."""
    return ".".join(str(part) for part in path)
