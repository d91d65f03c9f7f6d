"""Random YAML as careless people write it: any indentation, comments in every place, quotes, blocks, flow, anchors."""

from __future__ import annotations

from random import Random

WORDS = (
    *("yes", "010", "1:30", "1e3", "2026-11-24", "~", "null", "4 weeks", "99.9%", "systemd:pg@18-main", "o'clock"),
    *('"yes"', "'010'", '"a: b # no comment"', "'it''s'", '"tab \\t and \\" and \\\\"', '"${env:NAME}"', '""', "''"),
    *("한국어", "😀 grin", "é", "a  b", "-x", "?x", ":x", "x#y", "http://a.example/b?c=d", '"\\u2028"', "<<<", "a\\b"),
)  # fmt: skip
FLOW_WORDS = tuple(word for word in WORDS if word not in ("?x", ":x", "-x"))


class Writer:
    """Writes one document and remembers its comments."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.comments: list[str] = []
        self.lines: list[str] = []
        self.anchors: list[str] = []
        self.number = 0

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def spaces(self, least: int = 1) -> str:
        return " " * self.random.choice((least, least, least, least + 1, least + 4))

    def name(self) -> str:
        self.number += 1
        name = self.random.choice(("k", "a-long-key", "ключ", "7", "x.y"))
        name = f"{name}{self.number}"
        return self.random.choice((name, name, name, f'"{name}"', f"'{name}: '"))

    def comment(self) -> str:
        self.number += 1
        lead = self.random.choice(("# ", "#", "#  - ", "# {", "# '", '#" ', "# key: ", "#!"))
        text = f"{lead}c{self.number}" + self.random.choice(("", " | x", " # y", " é"))
        self.comments.append(text)
        return text + self.random.choice(("", "", " ", "   "))

    def between(self, indent: int) -> None:
        """Comments and empty lines before something, or nothing."""
        while self.chance(0.25):
            if self.chance(0.5):
                self.lines.append(self.random.choice(("", "", "  ", "      ")))
            else:
                deep = self.random.choice((indent, indent, indent, 0, indent + 1, indent + 4, max(0, indent - 2)))
                self.lines.append(" " * deep + self.comment())

    def tail(self) -> str:
        return self.spaces() + self.comment() if self.chance(0.2) else self.random.choice(("", "", "", " ", "  "))

    def flow(self, depth: int, indent: int) -> str:
        kind = self.random.randrange(4 if depth else 2)
        if kind < 2:
            return self.random.choice(FLOW_WORDS)
        left, right = "[]" if kind == 2 else "{}"
        text = left + self.flow_space(indent)
        count = self.random.randrange(4)
        for number in range(count):
            value = self.flow(depth - 1, indent)
            text += value if kind == 2 else f"{self.name()}:{self.spaces()}{value}"
            text += self.flow_space(indent)
            if number < count - 1 or self.chance(0.1):
                text += "," + (self.flow_space(indent) or " ")
        return text + right

    def flow_space(self, indent: int) -> str:
        if self.chance(0.1):
            tail = self.spaces() + self.comment() if self.chance(0.4) else ""
            return f"{tail}\n" + " " * (indent + 1 + self.random.randrange(6))
        return self.random.choice(("", "", " ", "   "))

    def value(self, head: str, indent: int, depth: int, *, item: bool) -> None:
        """Something behind `key:` or `-`, which stand at `indent`."""
        kind = self.random.randrange(12 if depth else 8)
        anchor = ""
        if self.chance(0.08):
            self.number += 1
            anchor = f"&n{self.number} "
        if kind < 3:
            word = self.random.choice((*WORDS, ""))
            if not word and not anchor:
                self.lines.append(head + self.tail())
            else:
                self.lines.append(head + self.spaces() + anchor + word + self.tail())
        elif kind == 3 and self.anchors:
            self.lines.append(f"{head}{self.spaces()}*{self.random.choice(self.anchors)}{self.tail()}")
            return
        elif kind == 4:
            self.block(head + self.spaces() + anchor, indent)
        elif kind == 5:
            self.folded(head + self.spaces() + anchor, indent)
        elif kind < 8:
            text = head + self.spaces() + anchor + self.flow(3, indent) + self.tail()
            self.lines += text.split("\n")
        elif item and not anchor and self.chance(0.5):
            # The first key or dash of the value on the same line.
            gap = self.random.choice((1, 1, 1, 3))
            at = len(head) + gap
            self.collection(at, depth - 1, first=head + " " * gap, maps=self.chance(0.7))
        else:
            self.lines.append(head + (self.spaces() + anchor.rstrip() if anchor else "") + self.tail())
            maps = self.chance(0.6)
            deeper = indent + self.random.choice((1, 2, 2, 2, 4, 5))
            if not maps and not item and self.chance(0.4):
                deeper = indent
            self.collection(deeper, depth - 1, maps=maps)
        if anchor:
            self.anchors.append(anchor[1:].strip())

    def block(self, head: str, indent: int) -> None:
        digit = self.random.choice((0, 0, 1, 2, 3))
        mark = self.random.choice("|>") + (str(digit) if digit else "") + self.random.choice(("", "-", "+"))
        self.lines.append(head + mark + self.tail())
        deep = indent + (digit or self.random.choice((1, 2, 4)))
        lines = []
        for number in range(self.random.randrange(5)):
            if not number and not digit:
                lines.append(" " * deep + "first: line")
            else:
                texts = ("text", "", "  more", "# no comment", "- x", "end  ", "\ttab", "key: |", "é😀")
                text = self.random.choice(texts)
                lines.append(" " * deep + text if text or self.chance(0.3) else "")
        self.lines += lines
        if lines and self.chance(0.2):
            self.lines.append("")

    def folded(self, head: str, indent: int) -> None:
        quote = self.random.choice(("", '"', "'"))
        lines = [self.random.choice(("begin", "one, two", "x"))]
        for _ in range(self.random.randrange(1, 4)):
            text = self.random.choice(("more", "and  more", "- dash", "last") + ((r"ends \\", "") if quote else ("",)))
            lines.append(" " * (indent + 1 + self.random.randrange(6)) + text + self.random.choice(("", " ")))
        lines.append(" " * (indent + 1 + self.random.randrange(6)) + "end")
        text = quote + "\n".join(lines) + quote
        if quote == '"' and self.chance(0.3):
            text = text.replace("begin", "begin \\  ").replace("more ", "more\\").replace("last\n", "last\\\n")
        self.lines += (head + text + self.tail()).split("\n")

    def collection(self, indent: int, depth: int, *, first: str = "", maps: bool = True) -> None:
        for number in range(self.random.randrange(1, 5)):
            lead = first if first and not number else " " * indent
            if lead is not first:
                self.between(indent)
            if not maps:
                self.value(f"{lead}-", indent, depth, item=True)
            elif self.chance(0.04):
                self.lines.append(f"{lead}?{self.spaces()}{self.name()}{self.tail()}")
                self.value(" " * indent + ":", indent, depth, item=True)
            else:
                self.value(f"{lead}{self.name()}{self.random.choice(('', '', '', ' '))}:", indent, depth, item=False)

    def document(self) -> str:
        if self.chance(0.3):
            self.between(0)
        if self.chance(0.1):
            self.lines.append("---" + self.tail())
        self.lines.append("aegis: v1" + self.tail())
        self.collection(0, 4)
        self.between(0)
        text = "\n".join(self.lines) + self.random.choice(("\n", "\n", "\n", "", "\n\n\n"))
        if self.chance(0.1):
            text = text.replace("\n", "\r\n")
        return text
