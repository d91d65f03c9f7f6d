"""Small changes within the text of YAML: a value replaced, an item added or removed, a key added. All else stays byte
for byte, comments too, and each change is proved by reading the text again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from aegis_plan.errors import AegisError

Path = Sequence[str]


class Text:
    """The text of one file, with one document or several."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    def has(self, *path: str) -> bool:
        """Whether one of its documents has this key."""
        return self._find(path) is not None

    def values(self, *path: str) -> list[str]:
        """The items of a list, or the one value there; empty where there is nothing."""
        node = self._find(path)
        items = node.value if isinstance(node, SequenceNode) else [node] if node is not None else []
        return [item.value for item in items if isinstance(item, ScalarNode)]

    def replace(self, path: Path, old: str, new: str) -> None:
        """Puts `new` for every value `old` at or below the path. Raises AegisError `text-not-editable`."""
        spans = [(at.start_mark.index, at.end_mark.index) for at in _scalars(self._need(path)) if at.value == old]
        if not spans:
            raise self._refused(f"{'.'.join(path)} does not hold {old} as it is")
        after = self.text
        for begin, end in sorted(spans, reverse=True):
            after = after[:begin] + new + after[end:]
        self._take(after, lambda data: _swap(data, path, old, new))

    def add(self, path: Path, item: str) -> None:
        """Adds an item to a list. Raises AegisError `text-not-editable`."""
        node = self._need(path)
        if not isinstance(node, SequenceNode):
            raise self._refused(f"{'.'.join(path)} is no list")
        text = self.text
        if not node.value:
            if not node.flow_style:
                raise self._refused(f"{'.'.join(path)} is empty")
            at, more = node.start_mark.index + 1, item
        elif node.flow_style:
            at, more = node.value[-1].end_mark.index, f", {item}"
        else:
            at = _line_end(text, node.value[-1].end_mark.index)
            more = f"\n{' ' * node.start_mark.column}- {item}"
        self._take(text[:at] + more + text[at:], lambda data: _at(data, path).append(_unquoted(item)))

    def remove(self, path: Path, item: str) -> None:
        """Takes an item out of a list. Raises AegisError `text-not-editable`."""
        node = self._need(path)
        found = [number for number, at in enumerate(node.value) if isinstance(at, ScalarNode) and at.value == item]
        if not isinstance(node, SequenceNode) or len(found) != 1:
            raise self._refused(f"{'.'.join(path)} does not list {item} once")
        if len(node.value) == 1:
            raise self._refused(f"{item} is the only one of {'.'.join(path)}")
        number, text = found[0], self.text
        here = node.value[number]
        if not node.flow_style:
            begin = text.rfind("\n", 0, here.start_mark.index) + 1
            end = _line_end(text, here.end_mark.index) + 1
        elif number + 1 < len(node.value):
            begin, end = here.start_mark.index, node.value[number + 1].start_mark.index
        else:
            begin, end = node.value[number - 1].end_mark.index, here.end_mark.index
        self._take(text[:begin] + text[end:], lambda data: _at(data, path).remove(item))

    def drop(self, path: Path, key: str) -> None:
        """Takes a key with its value out of a map; the last one takes the map with it. Raises AegisError
        `text-not-editable`."""
        node = self._need(path)
        pairs = node.value if isinstance(node, MappingNode) else []
        found = [number for number, (name, _) in enumerate(pairs) if name.value == key]
        if not isinstance(node, MappingNode) or not found:
            raise self._refused(f"{'.'.join(path)} has no key {key}")
        if len(pairs) == 1:
            self.drop(path[:-1], path[-1])
            return
        number, text = found[0], self.text
        if not node.flow_style:
            begin = text.rfind("\n", 0, pairs[number][0].start_mark.index) + 1
            end = _line_end(text, _last(pairs[number][1]).end_mark.index) + 1
        elif number + 1 < len(pairs):
            begin, end = pairs[number][0].start_mark.index, pairs[number + 1][0].start_mark.index
        else:
            begin, end = pairs[number - 1][1].end_mark.index, pairs[number][1].end_mark.index
        self._take(text[:begin] + text[end:], lambda data: _at(data, path).pop(key))

    def put(self, path: Path, key: str, value: str, before: str = "") -> None:
        """Adds a key with a value in YAML's one-line form to a map, in front of the key `before` or of the first.

        Raises AegisError `text-not-editable`."""
        node = self._need(path)
        if not isinstance(node, MappingNode) or not node.value:
            raise self._refused(f"{'.'.join(path)} is no map with keys")
        names = [name for name, _ in node.value]
        first = next((name for name in names if name.value == before), names[0])
        at = first.start_mark.index
        more = f"{key}: {value}" + (", " if node.flow_style else f"\n{' ' * first.start_mark.column}")
        plain = _load(value)

        def change(data: Any) -> None:
            _at(data, path)[key] = plain

        self._take(self.text[:at] + more + self.text[at:], change)

    def _find(self, path: Path) -> Node | None:
        node: Node | None
        try:
            documents = list(YAML(pure=True).compose_all(self.text))
        except (YAMLError, RecursionError):
            return None
        for node in documents:
            for part in path:
                pairs = node.value if isinstance(node, MappingNode) else []
                node = next((value for name, value in pairs if name.value == part), None)
            if node is not None:
                return node
        return None

    def _need(self, path: Path) -> Node:
        node = self._find(path)
        if node is None:
            raise self._refused(f"{'.'.join(path)} is not written there")
        return node

    def _take(self, after: str, change: Callable[[Any], object]) -> None:
        """Keeps the new text, once it reads as the old one with the change made to its data."""
        try:
            expected = [copy.deepcopy(data) for data in YAML(typ="safe", pure=True).load_all(self.text)]
            for data in expected:
                try:
                    change(data)
                except (KeyError, TypeError, IndexError):
                    continue
            found = list(YAML(typ="safe", pure=True).load_all(after))
        except (YAMLError, RecursionError, ValueError):
            found, expected = [], [None]
        if found != expected:
            raise self._refused("the change cannot be made in this way of writing")
        self.text = after

    def _refused(self, detail: str) -> AegisError:
        return AegisError(
            "text-not-editable",
            "a file cannot be changed by this command",
            f"{self.name}: {detail}",
            "make the change by hand; nothing was changed",
        )


def _scalars(node: Node) -> list[ScalarNode]:
    if isinstance(node, ScalarNode):
        return [node]
    if isinstance(node, SequenceNode):
        return [one for item in node.value for one in _scalars(item)]
    return [one for _, value in node.value for one in _scalars(value)] if isinstance(node, MappingNode) else []


def _last(node: Node) -> Node:
    """The node that ends where the text of this one ends: what a block ends with, comments and blank lines follow."""
    if not isinstance(node, SequenceNode | MappingNode) or node.flow_style or not node.value:
        return node
    return _last(node.value[-1] if isinstance(node, SequenceNode) else node.value[-1][1])


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _swap(data: Any, path: Path, old: str, new: str) -> None:
    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: changed(one) for name, one in value.items()}
        if isinstance(value, list):
            return [changed(one) for one in value]
        return _unquoted(new) if value == old else value

    parent = _at(data, path[:-1])
    parent[path[-1]] = changed(parent[path[-1]])


def _unquoted(value: str) -> Any:
    return _load(value)


def _load(value: str) -> Any:
    return YAML(typ="safe", pure=True).load(value)
