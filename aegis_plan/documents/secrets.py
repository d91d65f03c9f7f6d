"""The syntax of secret references within a text: `${env:NAME}`, `${file:PATH}`, `${command:[...]}`.

Pure: it resolves nothing. `$${` stands for `${` itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

KINDS = ("env", "file", "command")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"[^\s\[\]{}\"',]+")
_URL_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/@:?#]{0,256}:(?!\$\{)[^\s/@?#]{1,256}@")
_PASSWORD = re.compile(
    r"(?i)(?:^|[\s?&;'\"])(?:(?:pg|ssl)?(?:password|passwd)|accountkey|sharedaccess(?:key|signature))\s{0,9}=\s{0,9}['\"]?(?!\$\{)[^\s'\"&]"
)
_URL_TOKEN = re.compile(r"(?i)\bhttps?://(?!\$\{)[^\s/@?#\"']{1,256}@")
"""Who asks over HTTP with a name alone asks with a token."""
_URL_QUERY = re.compile(
    r"(?i)[?&](?:access_?token|auth_?token|token|api_?key|client_?secret|secret|sig|signature)="
    r"(?!\$\{)[^\s&\"'#]"
)
_BARE = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{0,30}://)?[^\w]*")
"""What may stand beside a reference where the whole is a secret."""


@dataclass(frozen=True)
class Reference:
    """One reference: `value` is the variable, the path, or the words of the command."""

    kind: Literal["env", "file", "command"]
    value: str | tuple[str, ...]

    def __str__(self) -> str:
        if isinstance(self.value, tuple):
            return "${command:" + json.dumps(list(self.value)) + "}"
        return "${" + f"{self.kind}:{self.value}" + "}"


Part: TypeAlias = str | Reference


def parse(text: str) -> tuple[Part, ...]:
    """The text as literal parts and references, in order.

    Raises ValueError with what is wrong; the message repeats nothing of the text."""
    parts: list[Part] = []
    literal = ""
    at = 0
    while (found := text.find("${", at)) >= 0:
        if found > at and text[found - 1] == "$":
            literal += text[at : found - 1] + "${"
            at = found + 2
            continue
        literal += text[at:found]
        if literal:
            parts.append(literal)
            literal = ""
        reference, at = _reference(text, found + 2)
        parts.append(reference)
    literal += text[at:]
    if literal:
        parts.append(literal)
    return tuple(parts)


def references(text: str) -> tuple[Reference, ...]:
    """The references within a text. Raises ValueError like `parse`."""
    return tuple(part for part in parse(text) if isinstance(part, Reference))


def has_literal_password(text: str) -> bool:
    """Whether a password, a key or a token is written out in a connection string or URL."""
    text = _without_references(text)
    if "://" in text and any(pattern.search(text) for pattern in (_URL_PASSWORD, _URL_TOKEN, _URL_QUERY)):
        return True
    return "=" in text and _PASSWORD.search(text) is not None


def _without_references(text: str) -> str:
    """The text with `${}` for each reference, and without any other `${`."""
    if "${" not in text:
        return text
    try:
        return "".join("${}" if isinstance(part, Reference) else part.replace("${", "$ {") for part in parse(text))
    except ValueError:
        return text


def is_written_out(text: str) -> bool:
    """Whether a text that is a secret as a whole holds more than references. Raises ValueError like `parse`."""
    return any(isinstance(part, str) and not _BARE.fullmatch(part) for part in parse(text))


def _reference(text: str, at: int) -> tuple[Reference, int]:
    colon = text.find(":", at, at + 16)
    kind = text[at:colon] if colon >= 0 else ""
    if kind not in KINDS:
        raise ValueError("a '${' opens no reference; write ${env:NAME}, ${file:PATH} or ${command:[...]}")
    begin = colon + 1
    if kind == "command":
        return _command(text, begin)
    end = text.find("}", begin)
    if end < 0:
        raise ValueError("a reference is opened and never closed")
    value = text[begin:end]
    if kind == "env":
        if not _VARIABLE.fullmatch(value):
            raise ValueError("not the name of an environment variable")
        return Reference("env", value), end + 1
    if not value.strip() or "\x00" in value or "${" in value:
        raise ValueError("not a path of a file")
    return Reference("file", value), end + 1


def _command(text: str, begin: int) -> tuple[Reference, int]:
    end = text.find("]}", begin)
    if text[begin : begin + 1] != "[" or end < 0:
        raise ValueError("a command is written as ${command:[program, argument]}")
    try:
        # A command may itself hold "]}" within quotes: JSON knows where it ends.
        words, end = json.JSONDecoder().raw_decode(text, begin)
        if text[end : end + 1] != "}":
            raise ValueError("a reference is opened and never closed")
    except json.JSONDecodeError:
        words = [word.strip() for word in text[begin + 1 : end].split(",")]
        if not all(_WORD.fullmatch(word) for word in words):
            raise ValueError("put each word of the command in double quotes") from None
        end += 1
    except RecursionError:
        raise ValueError("a command is a list of words") from None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise ValueError("a command is a list of words")
    return Reference("command", tuple(words)), end + 1
