"""`aegis fmt` gives one style, keeps every comment and never changes what a document means."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_yaml import Writer

from aegis_plan.cli.starter import STARTER
from aegis_plan.documents.format import format_document
from aegis_plan.documents.pieces import pieces
from aegis_plan.documents.source import parse
from aegis_plan.documents.tree import Node
from aegis_plan.errors import AegisError

ROOT = Path(__file__).parent.parent.parent


def formatted(text: str) -> str:
    return format_document(text.encode(), "x.yaml").decode()


def values(node: Node) -> object:
    """The tree with the order of keys."""
    if isinstance(node.value, dict):
        return [(key, values(child)) for key, child in node.value.items()]
    if isinstance(node.value, list):
        return ["list", *(values(child) for child in node.value)]
    return node.value


def check(random: Random) -> bool:
    """Whether the random text was a document at all; fails where it was and formatting it broke a promise."""
    writer = Writer(random)
    text = writer.document()
    try:
        before = parse(text.encode(), "x.yaml")
    except AegisError:
        return False
    once = formatted(text)
    assert [values(node) for node in parse(once.encode(), "x.yaml")] == [values(node) for node in before]
    assert formatted(once) == once
    # One that stands within a text after `|` is a part of the text.
    texts = [text for node in before for _, text in node.texts()]
    wanted = Counter(comment for comment in writer.comments if not any(comment in text for text in texts))
    found = Counter(piece.text for piece in pieces(once, "x.yaml") if piece.kind == "comment")
    heads = [piece.text.split("\n")[0] for piece in pieces(once, "x.yaml") if piece.style in ("|", ">")]
    found.update(head[head.index("#") :].rstrip() for head in heads if "#" in head)
    assert found == wanted
    return True


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_formatting_keeps_meaning_and_comments_and_is_idempotent(random: Random) -> None:
    check(random)


def test_many_random_documents(sweep: bool) -> None:
    count = 20_000 if sweep else 300
    documents = sum(check(Random(seed)) for seed in range(count))
    assert documents > count / 2


def broken(random: Random) -> bytes:
    """A document that somebody cut, doubled, turned around, or dropped odd letters into."""
    files = sorted((ROOT / "plans" / "aegis").glob("*.yaml"))
    data = bytearray(random.choice(files).read_bytes() if random.random() < 0.5 else Writer(random).document().encode())
    odd = (
        *(b"\t", b"\r", b"\xe2\x80\xa8", b"\xc2\x85", b"# x", b"\n\n", b": ", b"- ", b'"', b"'", b"{", b"]", b"|\n"),
        *(b">-\n", b"&a ", b"*a", b"? ", b"---\n", b"...\n", b"\xff", b"\0", b"%YAML 1.1\n", b"\\", b", "),
        b"\xef\xbb\xbf",
    )
    for _ in range(random.randrange(1, 6)):
        begin = random.randrange(len(data) + 1)
        end = min(len(data), begin + random.randrange(1, 40))
        kind = random.randrange(5)
        if kind == 0:
            del data[begin:end]
        elif kind == 1:
            data[begin:begin] = data[end : end + 20]
        elif kind == 2:
            data[begin:end] = bytes(reversed(data[begin:end]))
        elif kind == 3:
            data[begin:begin] = b" " * random.randrange(5)
        else:
            data[begin:begin] = random.choice(odd)
    return bytes(data)


def test_broken_documents_are_formatted_rightly_or_refused(sweep: bool) -> None:
    done = 0
    refused: list[AegisError] = []
    for seed in range(10_000 if sweep else 300):
        data = broken(Random(seed))
        try:
            once = format_document(data, "x.yaml")
        except AegisError as error:
            refused.append(error)
            continue
        done += 1
        assert format_document(once, "x.yaml") == once, seed
        assert [values(node) for node in parse(once, "x.yaml")] == [values(node) for node in parse(data, "x.yaml")], (
            seed
        )
    assert done > 30
    assert all(error.position for error in refused)


def test_what_init_writes_is_in_style() -> None:
    assert formatted(STARTER) == STARTER


def test_the_example_is_in_style() -> None:
    files = sorted((ROOT / "plans" / "aegis").rglob("*.yaml"))
    assert files
    for file in files:
        data = file.read_bytes()
        assert format_document(data, file.name) == data, file


CASES = {
    "indentation": ("aegis: v1\na:\n    b:\n       c: 1\n    d:\n    - x\n    -   y: 1\n        z: 2\n",
                    "aegis: v1\n\na:\n  b:\n    c: 1\n  d:\n    - x\n    - y: 1\n      z: 2\n"),
    "space between": ("a :   1\nb: [ 1,2 , {c:  2} ]\nc: { }\n", "a: 1\nb: [1, 2, {c: 2}]\nc: {}\n"),
    "one-line sections stay together": ("aegis: v1\na: {b: 1}\n\n\nc: 2\n", "aegis: v1\na: {b: 1}\n\nc: 2\n"),
    "sections are parted before their comment": ("a:\n  b: 1\n  # of b\n# of c\nc: 2\n",
                                                 "a:\n  b: 1\n  # of b\n\n# of c\nc: 2\n"),
    "columns stay lined up": ("full:       {a: 1,    b: 2}   # x\nlog:        {a: 100,  b: 2}\n",
                              "full: {a: 1,   b: 2} # x\nlog:  {a: 100, b: 2}\n"),
    "comments stay lined up": ("rto: 4h        # longest\n               # time\n\nmttr: 2h       # mean\n",
                               "rto: 4h # longest\n        # time\n\nmttr: 2h # mean\n"),
    "wide letters count as two columns": ("a: 한국      # x\nb: 12345     # y\n", "a: 한국  # x\nb: 12345 # y\n"),
    "colon in braces": ("a: { control:  systemd:postgresql@18-main }\n", "a: {control: systemd:postgresql@18-main}\n"),
    "texts stay": ("a: yes\nb: 010\nc: 1:30\nd: 1e3\ne: 'x'\nf: \"x\"\ng: ~\n", None),
    "a text after | moves as a whole": ("a:\n    b: |\n          x\n            y \n\n\n    c: 1\n",
                                        "a:\n  b: |\n    x\n      y \n\n  c: 1\n"),
    "an indicator counts from its key": ("a:\n    b: |2\n         x\n      y\n", "a:\n  b: |2\n       x\n    y\n"),
    "kept line breaks stay": ("a: |+\n  x\n\n\nb: 1\n", None),
    "no line break at the end of a text that has none": ("a: |\n  x", None),
    "line break at the end": ("a: 1", "a: 1\n"),
    "carriage returns go": ("a: 1\r\nb: |\r\n  x\r\n", "a: 1\n\nb: |\n  x\n"),
    "the mark of a Windows editor goes": ("\ufeffa: 1\n", "a: 1\n"),
    "only comments": ("\n\n   # nothing yet  \n\n\n# still\n\n", "# nothing yet\n\n# still\n"),
    "nothing": ("", ""),
    "several documents": ("---\naegis: v1\n---   # second\naegis:  v1\n...\n",
                          "---\naegis: v1\n--- # second\naegis: v1\n...\n"),
    "anchors": ("a: &x   {b: 1}\nc:   *x\nd: [ *x , 1 ]\n", "a: &x {b: 1}\nc: *x\nd: [*x, 1]\n"),
    "flow in lines": ("a: [1,\n   2, # two\n      # three\n         ]\n", "a: [1,\n  2, # two\n     # three\n]\n"),
    "comments go with what they stand at": (
        "a:\n   # of b\n   b:\n       c: 1\n       # end of b\n   # end of a\n# end\n",
        "a:\n  # of b\n  b:\n    c: 1\n    # end of b\n  # end of a\n# end\n",
    ),
    "comment that would become text": ("a:\n      b: |\n       x\n      # c\n      d: 1\n",
                                       "a:\n  b: |\n    x\n  # c\n  d: 1\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_style(name: str) -> None:
    text, wanted = CASES[name]
    wanted = text if wanted is None else wanted
    assert formatted(text) == wanted
    assert formatted(wanted) == wanted


def test_what_is_no_document_gives_the_error_of_validate() -> None:
    with pytest.raises(AegisError) as caught:
        formatted("a: [1\nb: 2\n")
    assert caught.value.code == "yaml-syntax"


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_a_character_that_may_end_a_line_changes_nothing(mark: str) -> None:
    for text in (f"a: 'x{mark}  y'\n", f"a: 1 # x{mark}b: 2\n", f"a: x{mark}\nb: |\n  q{mark}  r\n"):
        try:
            before = [values(node) for node in parse(text.encode(), "x")]
        except AegisError:
            continue
        try:
            once = formatted(text)
        except AegisError as error:
            assert error.code == "format-refused"  # noqa: PT017 - refusing is one of two right answers
            continue
        assert [values(node) for node in parse(once.encode(), "x")] == before
