"""YAML text as the pieces that stand in it: tokens and comments, each with its place. It loses nothing but spaces
and gives no meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unicodedata import combining, east_asian_width

from ruamel.yaml.error import YAMLError

from aegis_plan.documents.source import stand_ins
from aegis_plan.errors import AegisError, Position

_KINDS = {
    "BlockMappingStartToken": "map",
    "BlockSequenceStartToken": "sequence",
    "BlockEndToken": "end",
    "BlockEntryToken": "-",
    "KeyToken": "key",
    "ValueToken": ":",
    "FlowMappingStartToken": "open",
    "FlowSequenceStartToken": "open",
    "FlowMappingEndToken": "close",
    "FlowSequenceEndToken": "close",
    "FlowEntryToken": ",",
    "AnchorToken": "property",
    "TagToken": "property",
    "AliasToken": "alias",
    "ScalarToken": "scalar",
    "DocumentStartToken": "marker",
    "DocumentEndToken": "marker",
    "DirectiveToken": "marker",
}
_GAP = re.compile(r"[ \t\n]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A token or a comment. `map`, `sequence`, `end` and most of `key` have no text: they say how others nest."""

    kind: str
    text: str
    style: str
    """Of a scalar: nothing, a quote, `|` or `>`."""
    line: int
    column: int
    """Counted from 0, in the columns of a terminal."""
    breaks: int
    """Line breaks between it and what stands before it; the first piece counts as standing on a line of its own."""
    gap: int
    """Spaces before it on its line."""


def pieces(text: str, file: str) -> Iterator[Piece]:
    """Every piece of the text, which has only `\\n` as line breaks, in order.

    Raises AegisError `format-refused` where something stands between the tokens that is neither space nor comment."""
    here = line = gap = 0
    breaks = 1
    for token in _tokens(text, file):
        name = type(token).__name__
        kind = _KINDS.get(name, "")
        if not kind and name != "StreamEndToken":
            continue
        begin = max(token.start_mark.index if kind else len(text), here)
        # What stands before the token: spaces, breaks, comments.
        while here < begin:
            if text[here] == "#":
                stop = text.find("\n", here, begin)
                stop = begin if stop < 0 else stop
                if stop < len(text) and text[stop] != "\n":
                    raise _strange(file, line, text[stop])
                yield Piece("comment", text[here:stop].rstrip(), "", line, column(text, here), breaks, gap)
                here, breaks, gap = stop, 0, 0
                continue
            space = _GAP.match(text, here, begin)
            if space is None:
                raise _strange(file, line, text[here])
            found = space.group().count("\n")
            breaks += found
            line += found
            gap = 0 if breaks else len(space.group())
            here = space.end()
        if not kind:
            return
        end = max(token.end_mark.index, begin)
        style = (token.style or "") if kind == "scalar" else ""
        if style in ("|", ">") and text[:end].endswith("\n"):
            end -= 1
        body = text[begin:end].rstrip() if kind == "marker" else text[begin:end]
        yield Piece(kind, body, style, line, column(text, begin), breaks, gap)
        if begin < end:
            breaks = gap = 0
        here = end
        line += body.count("\n")


def width(text: str) -> int:
    """Columns that the text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def column(text: str, index: int) -> int:
    """The column, counted from 0, of a place in the text."""
    return width(text[text.rfind("\n", 0, index) + 1 : index])


def _tokens(text: str, file: str) -> Iterator[Any]:
    """The fast scanner's tokens, or those of the slow one, which knows that `{unit: systemd:name}` is YAML 1.2."""
    from ruamel.yaml import YAML
    from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]  # handed on from the C module unannounced

    text = text.translate({ord(letter): other for other, letter in stand_ins(text).items()})
    try:
        parser = CParser(text.encode())
        found = []
        while (token := parser.get_token()) is not None:
            found.append(token)
    except YAMLError:
        try:
            return iter(list(YAML(typ="safe", pure=True).scan(text)))
        except YAMLError:
            raise AegisError(
                "format-refused",
                "a document cannot be formatted without changing it",
                f"{file} can be read, and its parts cannot be told apart",
                "the file was left as it was; write what is unusual in it in a simpler form",
                Position(file, 1, 1),
            ) from None
    return iter(found)


def _strange(file: str, line: int, letter: str) -> AegisError:
    return AegisError(
        "format-refused",
        "a document cannot be formatted without changing it",
        f"the character U+{ord(letter):04X} stands outside of any text, and programs differ in what it means there",
        "remove it, or write a plain line break; the file was left as it was",
        Position(file, line + 1, 1),
    )
