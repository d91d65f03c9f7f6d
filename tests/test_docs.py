"""The manual is whole: every command, kind of step and error code is in it, and it explains no code that is gone."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from aegis_plan.actions.spec import ACTIONS
from aegis_plan.cli.main import root

PACKAGE = Path(__file__).parent.parent / "aegis_plan"
PAGES = sorted((PACKAGE / "docs" / "errors").glob("*.md"))
MANUAL = "\n".join(path.read_text(encoding="utf-8") for path in sorted((PACKAGE / "docs" / "manual").glob("*.md")))
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
FIRST = re.compile(r"(Error|Refusal|Trouble|Requirement|refusal|trouble|unverified|need|_one|_try)$|^rule$")
"""Calls whose first argument is a code; a rule of lint is one too."""
SECOND = re.compile(r"(Finding|Note|find|finding|note)$")
"""Calls whose second argument is a code, after a severity."""
SEVERITIES = {"error", "breach", "warning", "note"}


def literals(node: ast.expr | None) -> list[str]:
    """The texts that an expression can be: a literal, or a choice of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    return []


def codes(tree: ast.AST) -> Iterator[str]:
    """Every literal code of an error or finding that the source makes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        named = next((keyword.value for keyword in node.keywords if keyword.arg == "code"), None)
        found: list[str] = []
        if FIRST.search(name):
            found = literals(node.args[0] if node.args else named)
        elif SECOND.search(name) and (named is not None or SEVERITIES & set(literals(next(iter(node.args), None)))):
            found = literals(node.args[1] if len(node.args) > 1 else named)
        yield from (code for code in found if KEBAB.fullmatch(code))
        # `super().__init__("documents-invalid", ...)` of a subclass that has one code for good.
        if name == "__init__" and node.args:
            yield from (code for code in literals(node.args[0]) if KEBAB.fullmatch(code))


SOURCES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
CODES = {code: path.relative_to(PACKAGE) for path, tree in SOURCES.items() for code in codes(tree)}
SECTIONS = [
    (page, match.group(1), match.group(2).strip())
    for page in PAGES
    for match in re.finditer(r"^## (\S+)\n(.*?)(?=^## |\Z)", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
]


def test_codes_are_found_in_the_source() -> None:
    assert {"documents-invalid", "yaml-syntax", "engine-unknown", "store-unused"} <= set(CODES)


def test_every_code_is_explained() -> None:
    explained = {code for _, code, _ in SECTIONS}
    missing = [f"{path}: {code}" for code, path in sorted(CODES.items()) if code not in explained]
    assert not missing, "\n".join(["each needs a section '## code' in aegis_plan/docs/errors/:", *sorted(missing)])


def test_no_code_is_explained_twice() -> None:
    assert [code for code, count in Counter(code for _, code, _ in SECTIONS).items() if count > 1] == []


def test_no_section_explains_a_code_that_is_gone() -> None:
    texts = {
        node.value
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    # `f"{noun}-unknown"` stands for each code of that form.
    forms = [
        re.compile(
            "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in node.values)
        )
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        and KEBAB.fullmatch("".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values))
    ]
    gone = [(page.name, code) for page, code, _ in SECTIONS if code not in texts]
    assert [(page, code) for page, code in gone if not any(form.fullmatch(code) for form in forms)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_section_says_what_it_means_and_how_it_exits(page: Path) -> None:
    for code, body in [(code, body) for where, code, body in SECTIONS if where == page]:
        paragraphs = [part for part in body.split("\n\n") if part.strip()]
        assert len(body.split("\n")) >= 2, f"{code} has no more than a summary"
        assert paragraphs, code
        assert re.search(r"[Ee]xit(s| code)?\b", body), f"{code} does not say how the command exits"


def commands(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=words[-1])
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield " ".join((*words, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


def test_every_command_has_a_help_and_is_in_the_manual() -> None:
    found = dict(commands(root, ("aegis",)))
    assert len(found) > 15
    assert [name for name, command in found.items() if not (command.help or command.short_help)] == []
    assert [name for name in found if not re.search(rf"\b{re.escape(name)}\b", MANUAL)] == []


def test_every_kind_of_step_is_in_the_manual() -> None:
    assert [kind for kind in ACTIONS if f"`{kind}`" not in MANUAL] == []


def test_the_index_names_every_page() -> None:
    folder = PACKAGE / "docs" / "manual"
    index = (folder / "index.md").read_text(encoding="utf-8")
    pages = [path.stem for path in folder.glob("*.md") if path.name != "index.md"]
    assert [page for page in pages if f"help {page}`" not in index and f"`{page}`" not in index] == []


def test_the_architecture_names_files_that_are_there() -> None:
    text = (PACKAGE / "docs" / "architecture.md").read_text(encoding="utf-8")
    there = ["/" + str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.*")]
    named = [name for name in re.findall(r"`([\w/.-]+\.(?:py|md))`", text) if not name.startswith("tests/")]
    assert len(named) > 50
    assert [name for name in named if not any(path.endswith("/" + name) for path in there)] == []
