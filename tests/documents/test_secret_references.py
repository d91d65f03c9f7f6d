"""References to secrets within a text, and passwords that are written out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_plan.documents.secrets import Reference, has_literal_password, parse, references


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain $5 {x}", ("plain $5 {x}",)),
        ("${env:DB}", (Reference("env", "DB"),)),
        ("host=x password=${file:keys/pw}", ("host=x password=", Reference("file", "keys/pw"))),
        ("a${env:A}${env:B}b", ("a", Reference("env", "A"), Reference("env", "B"), "b")),
        ("${command:[pass, show, db]}", (Reference("command", ("pass", "show", "db")),)),
        ('${command:["a b", "]}", "${"]}!', (Reference("command", ("a b", "]}", "${")), "!")),
        ("echo $${HOME} ${env:A}", ("echo ${HOME} ", Reference("env", "A"))),
    ],
)
def test_what_a_text_is_made_of(text: str, parts: tuple[str | Reference, ...]) -> None:
    assert parse(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "${",
        "${}",
        "${env:}",
        "${env:A",
        "${env:A-B}",
        "${evn:A}",
        "${file:}",
        "${file: }",
        "${command:pass}",
        "${command:[]}",
        "${command:[a",
        '${command:["a]}',
        "${command:[a b]}",
        "${command:[1, [2]]}",
        "${HOME}",
    ],
)
def test_malformed_references_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the message is free, and is shown in the cases)
        parse(text)


@given(st.lists(st.one_of(st.text(), st.sampled_from(["${", "$${", "env:", "command:[", '"', "]", "}", "A", "$"]))))
def test_any_text_parses_or_is_refused(pieces: list[str]) -> None:
    try:
        references("".join(pieces))
    except ValueError:
        pass


@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_reference_reads_back(words: list[str]) -> None:
    reference = Reference("command", tuple(words))
    assert references(f"a{reference}b") == (reference,)


@pytest.mark.parametrize(
    "text",
    [
        "password=x",
        "host=a PASSWORD = 'x'",
        "postgresql://u:p@h/db",
        "x;passwd=y",
        "postgres://:p@h",
        "sslpassword=x",
        "PGPASSWORD=x",
        "https://h/?password=x",
        "password=$${x}",
        "https://ghp_x@h/",
        "https://h/x?a=${env:A}&api_key=x",
        "https://h/c?sv=2024&sig=x",
        "AccountName=a;AccountKey=x",
    ],
)
def test_written_passwords_are_seen(text: str) -> None:
    assert has_literal_password(text)


@pytest.mark.parametrize(
    "text",
    [
        "password=${env:P}",
        "password='${env:P}'",
        "postgresql://u@h:5432/db",
        "postgresql://u:${env:P}@h/db",
        "password=",
        "http://h:80/a@b",
        "passfile=/x",
        "no password",
        "https://${env:U}@h/",
        "https://${env:U}:${env:P}@h/?token=${env:T}",
        "https://h/?page_token_size=3&tokens=4",
        "https://h/path:x@y",
        "a://" * 10000,
        "password " * 10000,
    ],
)
def test_what_is_no_password_is_left_alone(text: str) -> None:
    assert not has_literal_password(text)
