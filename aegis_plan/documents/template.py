"""Templates in documents: `{{ name }}` in a value becomes the value of a variable. A template chooses and joins texts;
it calculates nothing, loops over nothing, calls nothing, and makes no secret reference.

It renders single texts after the document was parsed, so that every value keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from aegis_plan.documents.nearest import Nearest
from aegis_plan.documents.secrets import KINDS
from aegis_plan.documents.tree import Node, Path, dotted
from aegis_plan.errors import AegisError

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

LONGEST_TEMPLATE = 8192
LONGEST = 65_536
"""Characters that one rendered value may have."""
MOST = 8 * 2**20
"""Characters that all rendered values may have together."""
MOST_TEMPLATES = 2000
"""Templates that are more than names and that differ; one takes half a millisecond."""
MOST_PROBLEMS = 50
DEEPEST = 40
FILTERS = ("default", "lower", "trim", "upper")
TESTS = ("defined", "eq", "equalto", "in", "ne", "undefined")
ALLOWED = (
    "Template", "Output", "TemplateData", "Const", "Name", "Filter", "Test", "CondExpr", "Compare", "Operand", "And",
    "Or", "Not", "Concat", "List", "Tuple",
)  # fmt: skip
"""Parts of Jinja's language that can neither run away nor reach anything."""
Piece: TypeAlias = tuple[str, bool]
"""A part of a rendered text, and whether it stands in the document as it is."""

_NAME = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")
_OPENING = re.compile(r"\$\$\{|\$\{(?:" + "|".join(KINDS) + "):")
_WORDS = {"and", "else", "if", "in", "is", "not", "or", "true", "false", "none", "True", "False", "None"}


def render(root: Node, values: Mapping[str, str], near: Nearest) -> list[tuple[Node, AegisError]]:
    """Renders every value below the root in place, but keys and the section `variables`; what cannot be rendered stays
    as it is and is returned with its error."""
    refused: list[tuple[Node, AegisError]] = []
    seen: set[int] = set()
    made: dict[str, str] = {}
    total = 0
    declared = root.child("variables")
    known = set(declared.value) if declared is not None and isinstance(declared.value, dict) else set()
    stack: list[tuple[Path, Node]] = [((), root)]
    while stack:
        path, node = stack.pop()
        # What an alias names is one node, and a value is never rendered twice.
        if id(node) in seen or path == ("variables",):
            continue
        seen.add(id(node))
        if isinstance(node.value, dict):
            if id(node.value) not in seen:
                seen.add(id(node.value))
                stack.extend(((*path, name), child) for name, child in node.value.items())
        elif isinstance(node.value, list):
            if id(node.value) not in seen:
                seen.add(id(node.value))
                stack.extend(((*path, index), child) for index, child in enumerate(node.value))
        elif node.value is not None and ("{{" in node.value or "{%" in node.value):
            try:
                text = made.get(node.value) or _rendered(node.value, values, known, near, len(made))
                made[node.value] = text
                total += len(text)
                if total > MOST:
                    raise _refused("all rendered values together are longer than a document may be")
                node.value = text
            except AegisError as error:
                error.position = node.position
                error.detail = f"{dotted(path)}: {error.detail}"
                refused.append((node, error))
                if len(refused) >= MOST_PROBLEMS or total > MOST or len(made) > MOST_TEMPLATES:
                    break
    return refused


def _rendered(text: str, values: Mapping[str, str], known: set[str], near: Nearest, made: int) -> str:
    if len(text) > LONGEST_TEMPLATE:
        raise _refused(f"a template has at most {LONGEST_TEMPLATE} characters, and this one has {len(text)}")
    rest = _NAME.sub("", text)
    names = set(_NAME.findall(text))
    if not any(mark in rest for mark in ("{{", "{%", "}}")) and not names & _WORDS:
        # Names alone need no language: thousands of them are put in at once.
        for name in sorted(names - known):
            raise _undeclared(name, known, near)
        if not names <= set(values):
            return text
        # What is split by a pattern with one group is literal, name, literal, name, literal.
        parts = _NAME.split(text)
        return _bounded([(part if at % 2 == 0 else values[part], at % 2 == 0) for at, part in enumerate(parts)])
    if made > MOST_TEMPLATES:
        raise _refused(f"more than {MOST_TEMPLATES} different templates")
    from jinja2 import TemplateError

    environment = _environment()
    try:
        tree = environment.parse(text)
        _checked(tree, known, near)
        if not _names(tree) <= set(values):
            # A variable without a value is told once, where it is declared.
            return text
        return _bounded(_pieces(tree, environment, values))
    except TemplateError as error:
        raise AegisError(
            "template-malformed",
            "a template cannot be read",
            (error.message or "it is no template").rstrip("."),
            "write {{ name }}; where a value has to hold {{ itself, write {{ '{{' }}",
        ) from None
    except (RecursionError, MemoryError, SyntaxError, ValueError, TypeError, OverflowError):
        raise _refused("it is nested too deeply, or compares what cannot be compared") from None


def _pieces(tree: nodes.Template, environment: SandboxedEnvironment, values: Mapping[str, str]) -> list[Piece]:
    """What a template gives, piece by piece."""
    from jinja2 import nodes as kinds

    # A letter that is in no value, and that no filter makes: what stands between two of it is no literal text.
    held = set().union(
        *(values[name] for name in _names(tree)),
        *(node.value for node in tree.find_all(kinds.Const) if isinstance(node.value, str)),
    )
    mark = next(letter for letter in map(chr, range(0xF0000, 0xFFFFE)) if letter not in held)
    literals = []
    for node in tree.find_all(kinds.TemplateData):
        literals.append(node.data)
        node.data = mark
    between = environment.from_string(tree).render(values).split(mark)
    pieces: list[Piece] = [(between[0], False)]
    for literal, value in zip(literals, between[1:], strict=True):
        pieces += [(literal, True), (value, False)]
    return pieces


def _bounded(pieces: list[Piece]) -> str:
    rendered = "".join(text for text, _ in pieces)
    if len(rendered) > LONGEST:
        raise _refused(f"what it gives is longer than {LONGEST} characters")
    _keeps_references(pieces, rendered)
    return rendered


def _undeclared(name: str, known: set[str], near: Nearest) -> AegisError:
    return AegisError(
        "variable-undeclared",
        "a template uses a variable that nothing declares",
        f"'{name[:80]}' is not below 'variables'",
        near.hint(name, tuple(sorted(known))) + "; where a value has to hold {{ itself, write {{ '{{' }}",
    )


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
        optimized=False,  # or constants would be folded before anything is checked
        cache_size=0,
        comment_start_string="\x00#",
        comment_end_string="#\x00",
    )
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in FILTERS}
    made.tests = {name: made.tests[name] for name in TESTS}
    return made


def _checked(tree: nodes.Template, known: set[str], near: Nearest) -> None:
    """Raises AegisError for what a template may not hold."""
    names: list[str] = []
    inside: list[tuple[Any, int]] = [(tree, 0)]
    while inside:
        node, depth = inside.pop()
        kind = type(node).__name__
        if depth > DEEPEST:
            raise _refused("it is nested too deeply")
        if kind not in ALLOWED:
            raise _refused(f"a template chooses and joins texts, and has no place for '{_called(kind)}'")
        if kind == "Name":
            names.append(node.name)
        elif kind == "Filter" and node.name not in FILTERS:
            raise _refused(f"'{node.name[:80]}' is none of the filters {', '.join(FILTERS)}")
        elif kind == "Test" and node.name not in TESTS:
            raise _refused(f"'{node.name[:80]}' is none of the tests {', '.join(TESTS)}")
        inside.extend((child, depth + 1) for child in node.iter_child_nodes())
    for name in sorted(set(names) - known):
        raise _undeclared(name, known, near)


def _names(tree: nodes.Template) -> set[str]:
    from jinja2 import nodes as kinds

    return {node.name for node in tree.find_all(kinds.Name)}


def _called(kind: str) -> str:
    return {"For": "for", "If": "{% if %}", "Call": "a call", "Getattr": ".", "Getitem": "[]", "Mul": "*"}.get(
        kind, kind.lower()
    )


def _keeps_references(pieces: list[Piece], rendered: str) -> None:
    """A secret reference is written by who writes the document, never brought by a value, not even in part: a
    reference may run a program at a site. Each `${kind:` and each `$${` has to stand in one literal piece."""
    if any(literal and "${command:" in text for text, literal in pieces):
        raise _refused("a reference to a command is written out, without variables")
    written: set[int] = set()
    at = 0
    for text, literal in pieces:
        if literal:
            written.update(at + found.start() for found in _OPENING.finditer(text))
        at += len(text)
    for found in re.finditer(r"\$\$?\{", rendered):
        if found.start() not in written:
            raise AegisError(
                "template-makes-reference",
                "a variable would bring a secret reference",
                "a '${' and the kind and the colon behind it stand in the document only, not in the value of a "
                "variable",
                "write the reference here, with the variable behind its colon: ${env:DB_{{ name }}}",
            )


def _refused(why: str) -> AegisError:
    return AegisError(
        "template-refused",
        "a template does what none may do",
        why,
        "write {{ name }}, {{ a ~ '-' ~ b }} or {{ a if b == 'x' else c }}; 'aegis help documents' tells all",
    )
