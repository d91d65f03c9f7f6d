"""Which value each variable of the documents has: from the command line, files, the environment, or its default. It
resolves no secret and knows no command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aegis_plan.documents.nearest import Nearest
from aegis_plan.documents.source import parse
from aegis_plan.documents.tree import Node
from aegis_plan.errors import AegisError, Position

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
PREFIX = "AEGIS_VAR_"
LONGEST = 4096
"""Characters of a value; what is longer belongs into a document."""


@dataclass(frozen=True)
class Given:
    """What was given for variables, the weightiest first: options, files (the last one first), environment."""

    options: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    """Values that a saved plan was made with; they go before everything else."""


def values(root: Node, given: Given, near: Nearest) -> tuple[dict[str, str], list[AegisError]]:
    """Each declared variable that has a value, and what is wrong with what was given."""
    section = root.child("variables")
    declared = section.value if section is not None and isinstance(section.value, dict) else {}
    problems: list[AegisError] = []
    from_files: dict[str, str] = {}
    known = tuple(sorted(declared))
    for file in given.files:
        try:
            for name, text, position in _of_file(file):
                if name not in declared:
                    problems.append(_unknown(name, near.hint(name, known), position))
                from_files[name] = text
        except AegisError as error:
            problems.append(error)
    for name in given.options:
        if name not in declared:
            problems.append(_unknown(name, near.hint(name, known), None))
    found: dict[str, str] = {}
    for name, node in declared.items():
        place = section.keys.get(name) if section is not None else None
        if not _NAME.fullmatch(name):
            problems.append(
                AegisError(
                    "name-invalid",
                    "not a name",
                    f"variables.{name[:80]}: a variable is named in templates",
                    "use letters, digits and '_', and begin with a letter",
                    place,
                )
            )
            continue
        default = node.child("default")
        sources = (given.kept.get(name), given.options.get(name), from_files.get(name), given.environment.get(name))
        chosen = next((text for text in sources if text is not None), None)
        if chosen is None and default is not None and isinstance(default.value, str):
            chosen = default.value
        if chosen is None:
            problems.append(
                AegisError(
                    "variable-missing",
                    "a variable has no value",
                    f"'{name}' has no default, and nothing gives it one",
                    f"add --var {name}=VALUE, a file with --var-file, or set {PREFIX}{name}",
                    place,
                )
            )
        elif len(chosen) > LONGEST:
            problems.append(
                AegisError(
                    "variable-too-long",
                    "the value of a variable is too long",
                    f"'{name}' has {len(chosen)} characters; at most {LONGEST} are taken",
                    "write a long text into the documents themselves",
                    place,
                )
            )
        elif "${" in chosen:
            problems.append(
                AegisError(
                    "template-makes-reference",
                    "a variable would bring a secret reference",
                    f"the value of '{name}' holds a '${{', which may stand in a document only",
                    "write the reference where it is used, with the variable inside it where it has to: "
                    "${env:DB_{{ name }}}",
                    place,
                )
            )
        else:
            found[name] = chosen
    return found, problems


def of_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Values of the variables that the environment names."""
    return {name.removeprefix(PREFIX): text for name, text in environment.items() if name.startswith(PREFIX)}


def _of_file(file: Path) -> Iterator[tuple[str, str, Position]]:
    try:
        nodes = parse(file.read_bytes(), str(file))
    except OSError as error:
        raise AegisError(
            "document-unreadable",
            "a document cannot be read",
            f"{file}: {error.strerror or 'it cannot be opened'}",
            "name a file of variables that this user can read",
        ) from None
    for node in nodes:
        if not isinstance(node.value, dict):
            raise _malformed(node.position)
        for name, child in node.value.items():
            if not isinstance(child.value, str):
                raise _malformed(node.keys[name])
            yield name, child.value, node.keys[name]


def _malformed(position: Position) -> AegisError:
    return AegisError(
        "variables-malformed",
        "a file of variables is no map of names to values",
        "each line gives one variable a text, a number or a flag",
        "write 'name: value', one a line",
        position,
    )


def _unknown(name: str, hint: str, position: Position | None) -> AegisError:
    shown = name if len(name) <= 80 else f"{name[:80]}..."
    return AegisError(
        "variable-unknown",
        "a value for a variable that nothing declares",
        f"'{shown}' is not below 'variables'",
        hint,
        position,
    )
