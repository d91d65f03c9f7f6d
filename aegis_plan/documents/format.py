"""Documents in one style: spaces, indentation and empty lines, never a text, a quote or a comment. It refuses what it
cannot prove to mean the same, and opens no file.

It moves the tokens of the text and dumps no tree: a dumped tree loses comments and rewrites what people wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from aegis_plan.documents.align import Line, align
from aegis_plan.documents.layout import layout
from aegis_plan.documents.pieces import Piece, pieces
from aegis_plan.documents.source import parse
from aegis_plan.documents.tree import Node
from aegis_plan.errors import AegisError, Position


def format_document(data: bytes, file: str) -> bytes:
    """The same document in the style of the house; formatting it again changes nothing.

    Raises what `source.parse` raises for what is no document, and AegisError `format-refused` when the result would
    mean anything else or lack a comment."""
    before = parse(data, file)
    text = _plain(data)
    found = list(pieces(text, file))
    lines = layout(found)
    _part_sections(lines)
    align(lines)
    written = _joined(lines)
    # A line break at the end may be a part of the text after a `|`; then there was none and there will be none.
    for candidate in (written,) if text.endswith("\n") else (written, written.removesuffix("\n")):
        if _same(before, candidate.encode(), file) and _comments(found) == _comments(pieces(candidate, file)):
            return candidate.encode()
    raise AegisError(
        "format-refused",
        "a document cannot be formatted without changing it",
        f"{file} would mean something else, or lose a comment, afterwards",
        "the file was left as it was; write the part in question in a simpler form",
        Position(file, 1, 1),
    )


def _plain(data: bytes) -> str:
    """The text with one sort of line break, without the mark that some editors put before it."""
    return data.removeprefix(b"\xef\xbb\xbf").decode().replace("\r\n", "\n").replace("\r", "\n")


def _joined(lines: list[Line]) -> str:
    parts: list[str] = []
    for number, line in enumerate(lines):
        if line.blank and number:
            parts.append("\n")
        parts += [line.text(), "\n"]
    return "".join(parts)


def _part_sections(lines: list[Line]) -> None:
    """An empty line between two sections when one of them has more than a line."""
    starts = [number for number, line in enumerate(lines) if line.section]
    bounds: list[tuple[int, int]] = []
    for start, following in zip(starts, [*starts[1:], len(lines)]):
        end = next((number for number in range(start, following) if lines[number].document), following)
        while end > start + 1 and lines[end - 1].comment and not lines[end - 1].indent:
            end -= 1
        bounds.append((start, end))
    for (start, end), (after, end_after) in pairwise(bounds):
        gap = lines[end : after + 1]
        if any(line.blank or line.document for line in gap) or (end - start < 2 and end_after - after < 2):
            continue
        if _keeps(lines[start:end]):
            continue
        gap[0].blank = True


def _keeps(lines: list[Line]) -> bool:
    """Whether empty lines behind these lines would belong to a text of theirs."""
    heads = [line for line in lines if not line.raw]
    texts = [cell.text for cell in heads[-1].cells if cell.aligns != "comment"] if heads else []
    return bool(texts) and texts[-1][:1] in "|>" and "+" in texts[-1]


def _comments(within: Iterable[Piece]) -> Counter[str]:
    found: Counter[str] = Counter()
    for piece in within:
        if piece.kind == "comment":
            found[piece.text] += 1
        elif piece.style in ("|", ">"):
            head = piece.text.split("\n")[0]
            if "#" in head:
                found[head[head.index("#") :].rstrip()] += 1
    return found


def _same(before: list[Node], after: bytes, file: str) -> bool:
    """Whether both hold the same values below the same keys in the same order."""
    try:
        return _shape(before) == _shape(parse(after, file))
    except AegisError:
        return False


def _shape(nodes: list[Node]) -> list[object]:
    return [_value(node) for node in nodes]


def _value(node: Node) -> object:
    if isinstance(node.value, dict):
        return {"map": [(key, _value(child)) for key, child in node.value.items()]}
    if isinstance(node.value, list):
        return [_value(child) for child in node.value]
    return node.value
