"""Variables and templates: what they give, what they refuse, and that none of them runs away."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from document_case import BASE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis_plan.documents import template
from aegis_plan.documents.load import Loaded, load
from aegis_plan.documents.tree import Node
from aegis_plan.documents.variables import Given, of_environment
from aegis_plan.errors import AegisError, DocumentsError

VARIABLES = "aegis: v1\nvariables: {zone: {default: one}, region: {description: where it is}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def loaded(folder: Path, text: str, **given: Any) -> Loaded:
    (folder / "case.yaml").write_text("aegis: v1\n" + text)
    return load(folder, Given(**given))


def codes(folder: Path, text: str, **given: Any) -> list[str]:
    with pytest.raises(DocumentsError) as caught:
        loaded(folder, text, **given)
    return [problem.code for problem in caught.value.problems]


CHECKED = 'services: {auth: {tier: 1, start: {command: [x, "%s"]}}}\nvariables: {zone: {default: one}}\n'


def command(made: Loaded) -> str:
    start = made.documents.services["auth"].start
    assert start is not None
    return start.command[1]


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("{{ zone }}", "one"),
        ("a-{{zone}}-{{ zone }}", "a-one-one"),
        ("{{ zone | upper }}", "ONE"),
        ("{{ 'a' if zone == 'one' else 'b' }}", "a"),
        ("{{ zone ~ '-' ~ zone }}", "one-one"),
        ("{{ 'x' if zone in ['one', 'two'] else 'y' }}", "x"),
        ("{{ '{{' }} is literal", "{{ is literal"),
        ("{# no comment #}", "{# no comment #}"),
        ("%{http_code} }}", "%{http_code} }}"),
        ("${env:DB_{{ zone }}}", "${env:DB_one}"),
        ("$${ and {{ zone }}", "$${ and one"),
    ],
)
def test_what_a_template_gives(folder: Path, text: str, gives: str) -> None:
    assert command(loaded(folder, CHECKED % text)) == gives


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{{ zon }}", "variable-undeclared"),
        ("{{ zone", "template-malformed"),
        ("{{ .State.Health }}", "template-malformed"),
        ("{{ 'a' * 10**9 }}", "template-refused"),
        ("{% for a in zone %}{% for b in zone %}x{% endfor %}{% endfor %}", "template-refused"),
        ("{% set a = 'x' %}{{ a }}", "template-refused"),
        ("{{ zone.__class__.__mro__ }}", "template-refused"),
        ("{{ zone['x'] }}", "template-refused"),
        ("{{ range(10) }}", "template-refused"),
        ("{{ zone | attr('format') }}", "template-refused"),
        ("{{ zone | replace('o', 'oooooooo') }}", "template-refused"),
        ("{{ '%999999999d' % 1 }}", "template-refused"),
        ("{{ zone | default(1 / 0) }}", "template-refused"),
        ("{{ " + "(" * 3000 + "zone" + ")" * 3000 + " }}", "template-refused"),
        ("{{ " + "not " * 1500 + "zone }}", "template-refused"),
        ("{{ zone }}" * 2000, "template-refused"),
        ("{{ zone if zone < 1 else zone }}", "template-refused"),
        ("${command:[rm, {{ zone }}]}", "template-refused"),
    ],
)
def test_what_a_template_may_not_do_is_refused_at_once(folder: Path, text: str, code: str) -> None:
    begin = time.monotonic()
    assert codes(folder, CHECKED % text) == [code]
    assert time.monotonic() - begin < 10  # a bound against what grows without end


def test_a_value_brings_no_secret_reference(folder: Path) -> None:
    for value in ("${env:X}", "${command:[id]}", "$", "$${"):
        text = CHECKED % "{{ zone }}{env:X}"
        assert codes(folder, text, options={"zone": value}) == ["template-makes-reference"], value
    assert codes(folder, CHECKED % "${env:A{{ zone }}}", options={"zone": "}${command:[id]"}) == [
        "template-makes-reference"
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{{ zone }}}", "command:[id]"),
        ("${{{ zone }}:[id]}", "command"),
        ("${comm{{ zone }}", "and:[id]}"),
        ("${command{{ zone }}[id]}", ":"),
        ("${{{ zone }}command:[id]}", ""),
        ("${env{{ zone }}X}", ":"),
        ("${{ '{' }}{{ zone | lower }}", "COMMAND:[id]}"),
        ("${{ '{' ~ zone }}", "command:[id]}"),
        ("${{ '{comm' ~ zone }}", "and:[id]}"),
        ("{{ '$' }}{{ zone }}{env:X}", ""),
        ("${comm{{ zone if zone is defined }}", "and:[id]}"),
        ("{{ zone }}${env:X}", "$"),
        ("x${{ '{' ~ zone }}y", "command:[\U000f0000\U000f0001]}"),
        ("$\U000f0000{{ '' }}${{ '{' ~ zone | trim }}", "command:[id]}"),
        ("{{ zone }}${env:X}", "x$"),
    ],
)
def test_no_part_of_what_opens_a_reference_comes_from_a_value(folder: Path, text: str, value: str) -> None:
    for source in ({"options": {"zone": value}}, {"environment": {"zone": value}}):
        assert codes(folder, CHECKED % text, **source) == ["template-makes-reference"]


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("${env:A_{{ zone }}} and ${file:/{{ zone | upper }}/x}", "${env:A_one} and ${file:/ONE/x}"),
        ("{{ zone }} $${x} {{ zone | upper }} ${env:B}", "one $${x} ONE ${env:B}"),
        ("{{ zone | upper }}", "ONE"),
        ("a{{ zone | upper }}{{ zone }}b", "aONEoneb"),
    ],
)
def test_a_reference_may_hold_a_value_behind_its_colon(folder: Path, text: str, gives: str) -> None:
    assert command(loaded(folder, CHECKED % text)) == gives


def test_a_value_is_never_rendered_itself(folder: Path) -> None:
    text = CHECKED.replace("[x,", "[&a ") % "{{ zone }}"
    text = text.replace('"]}}', '", *a]}}')
    made = loaded(folder, text, options={"zone": "{{ zone }}"})
    start = made.documents.services["auth"].start
    assert start is not None
    assert start.command == ("{{ zone }}", "{{ zone }}")


def test_the_command_line_goes_before_files_and_files_before_the_environment(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.values", tmp_path / "second.values"
    first.write_text("zone: first\n")
    second.write_text("zone: 010\n")
    text = CHECKED % "{{ zone }}"
    environment = of_environment({"AEGIS_VAR_zone": "outside", "AEGIS_VAR_other": "x", "HOME": "/"})
    assert command(loaded(folder, text, environment=environment)) == "outside"
    assert command(loaded(folder, text, environment=environment, files=[second, first])) == "first"
    assert command(loaded(folder, text, environment=environment, files=[first, second])) == "010"
    assert command(loaded(folder, text, files=[first], options={"zone": "told"})) == "told"
    assert command(loaded(folder, text, options={"zone": "told"}, kept={"zone": "kept"})) == "kept"
    assert command(loaded(folder, text, options={"zone": ""})) == ""


def test_values_that_nothing_declares_or_that_lack_are_told(folder: Path, tmp_path: Path) -> None:
    assert codes(folder, CHECKED % "x", options={"zonne": "x"}) == ["variable-unknown"]
    values = tmp_path / "a.values"
    values.write_text("zone: {a: b}\n")
    assert codes(folder, CHECKED % "x", files=[values]) == ["variables-malformed"]
    values.write_text("zone: a\nother: b\n")
    with pytest.raises(DocumentsError) as caught:
        loaded(folder, CHECKED % "x", files=[values])
    assert str(caught.value.problems[0].position) == f"{values}:2:1"
    assert codes(folder, CHECKED % "x", files=[tmp_path / "none"]) == ["document-unreadable"]
    assert codes(folder, CHECKED % "x", options={"zone": "x" * 5000}) == ["variable-too-long"]
    assert codes(folder, "variables: {a-b: {default: x}}\n") == ["name-invalid"]


def test_a_missing_value_is_told_once_and_not_what_follows_from_it(folder: Path) -> None:
    text = 'variables: {rto: {}}\nservices: {auth: {tier: 1, health: {tcp: {address: a, timeout: "{{ rto }}"}}}}\n'
    with pytest.raises(DocumentsError) as caught:
        loaded(folder, text)
    assert [(one.code, one.position and one.position.line) for one in caught.value.problems] == [
        ("variable-missing", 2)
    ]


def test_a_rendered_value_has_the_type_of_its_place_and_its_own_position(folder: Path) -> None:
    text = 'variables: {rto: {default: soon}}\nservices: {auth: {tier: 1, health: {within: "{{ rto }}"}}}\n'
    with pytest.raises(DocumentsError) as caught:
        loaded(folder, text)
    assert str(caught.value.problems[0].position).endswith("case.yaml:3:45")
    health = loaded(folder, text, options={"rto": "90s"}).documents.services["auth"].health
    assert health is not None
    assert health.within.total_seconds() == 90


def test_the_digest_is_that_of_what_was_rendered(folder: Path) -> None:
    text = CHECKED % "{{ zone }}"
    one, two = loaded(folder, text), loaded(folder, text, options={"zone": "two"})
    assert one.digest != two.digest
    kept = {name: found.default for name, found in two.documents.variables.items() if found.default is not None}
    assert loaded(folder, text, kept=kept).digest == two.digest


def test_keys_and_variables_are_left_as_they_are(folder: Path) -> None:
    assert "name-invalid" in codes(folder, 'sites: {"{{ zone }}": {}}\nvariables: {zone: {default: one}}\n')
    text = 'variables: {zone: {default: "{{ zone }}"}}\n'
    assert loaded(folder, text).documents.variables["zone"].default == "{{ zone }}"


def test_thousands_of_names_are_put_in_at_once() -> None:
    lines = {str(number): Node(f"{{{{ zone }}}}-{number}", "f", 1, 1) for number in range(50_000)}
    root = Node({"variables": Node({"zone": Node({}, "f", 1, 1)}, "f", 1, 1), **lines}, "f", 1, 1)
    assert template.render(root, {"zone": "x"}, template.Nearest()) == []
    assert lines["49999"].value == "x-49999"


def test_templates_without_end_are_given_up() -> None:
    lines = {str(number): Node(f"{{{{ zone | upper }}}}-{number}", "f", 1, 1) for number in range(10_000)}
    root = Node({"variables": Node({"zone": Node({}, "f", 1, 1)}, "f", 1, 1), **lines}, "f", 1, 1)
    assert {error.code for _, error in template.render(root, {"zone": "x"}, template.Nearest())} == {"template-refused"}


PIECES = ["{{", "}}", "{%", "%}", "{#", "#}", " zone ", " other ", "'", '"', "(", ")", "[", "]", "*", "**", "9" * 30]
PIECES += ["|", " upper ", " default ", ".", "__class__", "~", " if ", " else ", " in ", " not ", " for ", " set ", "="]
PIECES += ["-", "+", "${", "$", "env:X}", "\n", "\\", "é", "\u2028", "raw", "endraw", ",", "{", "}", " loop ", "%", "<"]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_any_template_is_a_text_or_an_error(pieces: list[str]) -> None:
    text = "".join(pieces)
    root = Node(
        {"value": Node(text, "f", 2, 3), "variables": Node({"zone": Node({}, "f", 1, 1)}, "f", 1, 1)}, "f", 1, 1
    )
    refused = template.render(root, {"zone": "one"}, template.Nearest())
    for node, error in refused:
        assert isinstance(error, AegisError)
        assert node.value == text, json.dumps(text)
        assert str(error.position) == "f:2:3"
