"""YAML text to nodes with their places. Every scalar stays the text that people wrote; nothing is checked for sense.

It reads events, so that limits hold while reading: no text, however nested or repeated, takes long or much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ruamel.yaml.error import MarkedYAMLError, YAMLError

from aegis_plan.documents.tree import Node
from aegis_plan.errors import AegisError, Position

MAXIMUM_BYTES = 16 * 2**20
MAXIMUM_NODES = 200_000
MAXIMUM_DEPTH = 64
SLOW_BYTES = 64 * 2**10
"""Up to this size the slow parser is asked about what the fast one refuses: 100 KB take it a second."""
_NULLS = {"", "~", "null", "Null", "NULL"}


def parse(data: bytes, file: str) -> list[Node]:
    """The documents of one file, in order, without the empty ones.

    Raises AegisError with a position for everything that cannot be read."""
    if len(data) > MAXIMUM_BYTES:
        raise AegisError(
            "document-too-large",
            "a document is too large",
            f"{file} has {len(data)} bytes; at most {MAXIMUM_BYTES} are read",
            "split it over several files, or move what is no document out of the folder",
            Position(file, 1, 1),
        )
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AegisError(
            "document-encoding",
            "a document is not UTF-8 text",
            f"the byte at offset {error.start} belongs to no character",
            "save the file as UTF-8",
            _count(data[: error.start].decode("utf-8"), file),
        ) from None
    stands_for = stand_ins(text)
    if stands_for:
        text = text.translate({ord(letter): other for other, letter in stands_for.items()})
        data = text.encode()
    try:
        return _Reader(file, stands_for).documents(_fast(data))
    except YAMLError as error:
        if "unexpected ':'" in str(getattr(error, "problem", "")) and len(data) <= SLOW_BYTES:
            # The fast parser follows YAML 1.1, where `{control: systemd:unit}` needs quotes. In YAML 1.2 it does not.
            try:
                return _Reader(file, stands_for).documents(_slow(text))
            except YAMLError as second:
                error = second
            except (ValueError, OverflowError):
                pass  # an escape such as "\\UFFFFFFFF", which the slow parser hands to chr() unchecked
        raise _syntax(error, text, file) from None


def _fast(data: bytes) -> Callable[[], Any]:
    from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]  # handed on from the C module unannounced

    parser = CParser(data)
    return lambda: parser.get_event()


def _slow(text: str) -> Callable[[], Any]:
    from ruamel.yaml import YAML

    events: Iterator[Any] = iter(YAML(typ="safe", pure=True).parse(text))
    return lambda: next(events, None)


def _count(before: str, file: str) -> Position:
    """The place that follows the text."""
    before = before.replace("\r\n", "\n").replace("\r", "\n")
    line = before.count("\n") + 1
    return Position(file, line, len(before) - (before.rfind("\n") + 1) + 1)


def stand_ins(text: str) -> dict[str, str]:
    """What the parsers read instead of NEL, LS and PS, which break lines in YAML 1.1 alone: in YAML 1.2 and in every
    editor they are letters, and a comment goes on behind one. Private letters that the text does not hold."""
    found = [letter for letter in "\x85\u2028\u2029" if letter in text]
    if not found:
        return {}
    held = set(text)
    free = (chr(code) for code in range(0xF0000, 0xFFFFE) if chr(code) not in held)
    return dict(zip(free, found, strict=False))


_EXPLAINED = (
    ("cannot start any token", "a character stands where nothing can begin", "indent with spaces, never with tabs; "
     "put a value that begins with @, ` or % in quotes"),
    ("tab character", "a tab stands where spaces belong", "indent with spaces, never with tabs"),
    ("mapping values are not allowed", "a ': ' stands where no key can be", "check the indentation, and put a value "
     "that contains ': ' in quotes"),
    ("unexpected ':'", "a ':' within a value inside braces", "put the value in quotes"),
    ("unexpected end of stream", "a quote is opened and never closed", "close it"),
    ("expected ',' or", "a bracket or brace is opened and never closed, or a comma is missing", "close it"),
    ("expected <document start>", "a second value follows where the document has ended", "check the indentation"),
    ("expected <block end>", "the indentation does not fit the lines above", "align keys of one map in one column"),
    ("could not find expected ':'", "a key without a ':'", "write 'key: value'"),
    ("expected node content", "a value is missing, or a bracket is opened and never closed", "close it"),
    ("expected the node content", "a value is missing, or a bracket is opened and never closed", "close it"),
)  # fmt: skip


def _syntax(error: YAMLError, text: str, file: str) -> AegisError:
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it is no YAML")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    offset = getattr(error, "position", None)
    if isinstance(error, MarkedYAMLError) and mark is not None:
        position = Position(file, mark.line + 1, mark.column + 1)
    elif isinstance(offset, int):
        # Counted in bytes by the fast parser, in characters by the slow one; only the fast one is asked about this.
        position = _count(text.encode()[:offset].decode("utf-8", "ignore"), file)
    else:
        position = Position(file, 1, 1)
    detail, hint = next(((says, do) for word, says, do in _EXPLAINED if word in problem), (problem, ""))
    return AegisError("yaml-syntax", "a document is no YAML", detail, hint, position)


class _Reader:
    """Builds nodes from the events of one file."""

    def __init__(self, file: str, stands_for: dict[str, str]) -> None:
        self.file = file
        self.letters = {ord(other): letter for other, letter in stands_for.items()}
        self.anchors: dict[str, Node | None] = {}
        self.weight = 0

    def documents(self, event: Callable[[], Any]) -> list[Node]:
        found: list[Node] = []
        stack: list[tuple[Node, str | None, str | None]] = []  # container, its anchor, key that waits for a value
        while (now := event()) is not None:
            kind = type(now).__name__
            if kind in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                continue
            if kind == "DocumentStartEvent":
                self.anchors.clear()
            elif kind in ("MappingEndEvent", "SequenceEndEvent"):
                node, anchor, _ = stack.pop()
                if anchor is not None:
                    self.anchors[anchor] = node
                if stack:
                    stack[-1][0].weight += node.weight - 1
            else:
                node = self.node(kind, now)
                if stack:
                    stack[-1] = self.attach(stack[-1], node, kind, now)
                elif node.value is not None:
                    found.append(node)
                if kind in ("MappingStartEvent", "SequenceStartEvent"):
                    stack.append((node, now.anchor, None))
                    if len(stack) > MAXIMUM_DEPTH:
                        raise AegisError(
                            "yaml-too-large",
                            "a document is nested too deeply or expands to too much",
                            f"more than {MAXIMUM_DEPTH} levels",
                            "write it flatter",
                            node.position,
                        )
        return found

    def node(self, kind: str, now: Any) -> Node:
        line, column = now.start_mark.line + 1, now.start_mark.column + 1
        anchor = now.anchor
        if kind == "AliasEvent":
            known = self.anchors.get(anchor)
            if known is None:
                inside = anchor in self.anchors
                raise AegisError(
                    "yaml-alias",
                    "an alias stands for nothing",
                    f"*{anchor} stands within what it names" if inside else f"no anchor is called &{anchor} above it",
                    "write the value itself",
                    Position(self.file, line, column),
                )
            self.weigh(known.weight, line, column)
            node = Node(known.value, known.file, known.line, known.column)
            node.keys, node.weight = known.keys, known.weight
            return node
        if now.tag is not None and getattr(now, "tag", None) != "!":
            raise AegisError(
                "yaml-tag",
                "a document uses a tag",
                f"'{now.tag}'; the model decides what a value is, tags do not",
                "remove the tag",
                Position(self.file, line, column),
            )
        self.weigh(1, line, column)
        value: dict[str, Node] | list[Node] | str | None
        if kind == "MappingStartEvent":
            value = {}
        elif kind == "SequenceStartEvent":
            value = []
        else:
            value = None if not now.style and now.value in _NULLS else self.text(now.value)
            if value is not None and not value.isascii():
                value.encode()  # half of a surrogate pair is a ValueError here, and nowhere later
        node = Node(value, self.file, line, column)
        if anchor is not None:
            self.anchors[anchor] = None if isinstance(value, dict | list) else node
        return node

    def text(self, read: str) -> str:
        return read.translate(self.letters) if self.letters else read

    def weigh(self, more: int, line: int, column: int) -> None:
        self.weight += more
        if self.weight > MAXIMUM_NODES:
            raise AegisError(
                "yaml-too-large",
                "a document is nested too deeply or expands to too much",
                f"more than {MAXIMUM_NODES} values, aliases counted as often as they are used",
                "write fewer aliases, or split the file",
                Position(self.file, line, column),
            )

    def attach(
        self, frame: tuple[Node, str | None, str | None], node: Node, kind: str, now: Any
    ) -> tuple[Node, str | None, str | None]:
        container, anchor, key = frame
        container.weight += node.weight
        if isinstance(container.value, list):
            container.value.append(node)
            return frame
        assert isinstance(container.value, dict)
        if key is not None:
            container.value[key] = node
            return container, anchor, None
        position = Position(self.file, now.start_mark.line + 1, now.start_mark.column + 1)
        if kind != "ScalarEvent":
            raise AegisError(
                "yaml-key",
                "a key is not a text",
                "a list, a map or an alias stands where a key belongs",
                "write 'key: value'; put a text that begins with {, [ or * in quotes",
                position,
            )
        name = self.text(str(now.value))
        if name == "<<" and not now.style:
            raise AegisError(
                "yaml-merge-key",
                "a document uses a merge key",
                "'<<' is no part of YAML 1.2",
                "write the values out, or name a whole value by an anchor",
                position,
            )
        if name in container.value:
            first = container.keys[name]
            raise AegisError(
                "yaml-duplicate-key",
                "a key stands twice in one map",
                f"'{name}' stands first at line {first.line}, column {first.column}",
                "remove one of them, or give it another name",
                position,
            )
        container.keys[name] = position
        return container, anchor, name
