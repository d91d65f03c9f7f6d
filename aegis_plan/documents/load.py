"""Documents from a folder: read, merged, checked, every problem told in one go. It writes nothing and resolves no
secret."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from aegis_plan.documents import names, required, sense, shape, template, variables
from aegis_plan.documents.digest import digest
from aegis_plan.documents.model import Documents
from aegis_plan.documents.nearest import Nearest
from aegis_plan.documents.source import MAXIMUM_BYTES, parse
from aegis_plan.documents.tree import Node
from aegis_plan.documents.variables import Given
from aegis_plan.errors import AegisError, DocumentsError, Finding, Position, UsageError

_PATHS = (("repositories", "*", "path"), ("repositories", "*", "ca"), ("sites", "*", "file"))
"""Fields that name a file or folder of this machine or of a site; relative ones count from the documents."""


@dataclass(frozen=True)
class Loaded:
    """Checked documents, and where everything in them stands."""

    documents: Documents
    digest: str
    """SHA-256 of the canonical JSON of the model."""
    root: Node = field(default_factory=lambda: Node({}, "", 1, 1), repr=False, compare=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    """What was read, by the path of each file below the folder."""

    def warnings(self, now: datetime) -> tuple[Finding, ...]:
        """What lint finds at that moment, worked out when it is asked for."""
        from aegis_plan.documents.lint.look import findings

        return findings(self.documents, self.root, now)

    def place(self, path: str | Sequence[str | int]) -> Position | None:
        """Where `stores/policy-db/backup` stands; None when it is not written anywhere."""
        parts = path.split("/") if isinstance(path, str) else list(path)
        steps = [int(part) if isinstance(part, str) and part.isdecimal() else part for part in parts]
        node = self.root
        for part in steps:
            child = node.child(part)
            if child is None:
                return None
            node = child
        return self.root.place(steps, key=isinstance(node.value, dict))


def load(
    folder: Path, given: Given | None = None, forgiven: frozenset[str] = frozenset(), outset: Path | None = None
) -> Loaded:
    """Every `*.yaml` and `*.yml` below the folder, or the one file, as checked documents, rendered with the values of
    their variables, which `variables` then shows as defaults.

    Problems whose code is `forgiven` are not told, where the model does not mind them: a drawing shows a circle that
    no plan could have. Raises UsageError `documents-missing`, and DocumentsError with every problem in the order of
    files and lines."""
    files = document_files(folder)
    base = (folder if folder.is_dir() else folder.parent).absolute()
    problems: list[AegisError] = []
    nodes: list[Node] = []
    read: dict[str, bytes] = {}
    for file in files:
        try:
            data = read[file.absolute().relative_to(base).as_posix()] = read_document(file)
            found = parse(data, str(file))
            _version(found, str(file))
            nodes.extend(found)
        except AegisError as error:
            problems.append(error)
    whole = not problems
    root = _merge(nodes, str(files[0]), problems)
    problems.extend(required.problems(root))
    near = Nearest()
    unrendered = _render(root, given or Given(), problems, near) if whole else []
    documents, refused = _model(root, outset or base, whole, problems, near)
    problems.extend(sense.written_secrets(root))
    if whole:
        problems.extend(names.problems(root, near))
        problems.extend(sense.problems(root, near, refused, documents))
    problems = [problem for problem in problems if problem.code not in forgiven]
    if problems or documents is None:
        raise DocumentsError(_in_order(_without_echo(problems, unrendered)))
    return Loaded(documents, digest(documents), root, read)


def document_files(folder: Path) -> list[Path]:
    """Every file below the folder that is read as a document, sorted; or the one file. Raises UsageError
    `documents-missing`."""
    try:
        if folder.is_dir():
            found = []
            for here, inside, files in os.walk(folder):
                inside[:] = sorted(name for name in inside if not name.startswith("."))
                found += [Path(here, name) for name in files if _is_document(name)]
            found.sort()
        else:
            found = [folder] if folder.exists() else []
    except (OSError, ValueError):
        found = []
    if not found:
        raise UsageError(
            "documents-missing",
            "no documents are there",
            f"'{folder}' holds no file that ends in .yaml or .yml",
            "name the folder with -C, or begin one with 'aegis init'",
        )
    return found


def _is_document(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) and not name.startswith(".")


def read_document(file: Path) -> bytes:
    """The bytes of a document. Raises AegisError `document-unreadable`."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise AegisError(
                "document-unreadable", "a document cannot be read", f"{file} is no regular file", "move it elsewhere"
            )
        with file.open("rb") as stream:
            return stream.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise AegisError(
            "document-unreadable",
            "a document cannot be read",
            f"{file}: {os.strerror(error.errno) if error.errno else 'it cannot be opened'}",
            "make it readable for this user, or move it elsewhere",
            Position(str(file), 1, 1),
        ) from None


def _version(found: list[Node], file: str) -> None:
    first = found[0].child("aegis") if found else None
    if first is None:
        raise AegisError(
            "version-missing",
            "a document does not say its version",
            f"{file} has no key 'aegis'",
            "open the file with 'aegis: v1', or move what is no document of Aegis out of the folder",
            found[0].position if found else Position(file, 1, 1),
        )
    for node in found:
        version = node.child("aegis")
        if version is not None and version.value != "v1":
            raise AegisError(
                "version-unknown",
                "a document of a version that this program does not read",
                "it reads v1",
                "write 'aegis: v1', or use the program that the documents were written for",
                version.position,
            )


def _merge(nodes: list[Node], file: str, problems: list[AegisError]) -> Node:
    """One map of all documents: sections of the same name become one, and a name in two of them is a problem."""
    root = Node({"aegis": Node("v1", file, 1, 1)}, file, 1, 1)
    assert isinstance(root.value, dict)
    for node in nodes:
        if not isinstance(node.value, dict):
            problems.append(
                AegisError(
                    "value-invalid",
                    "a value that cannot be",
                    "a document is a map of sections",
                    "write 'aegis: v1' and sections below it",
                    node.position,
                )
            )
            continue
        for section, content in node.value.items():
            if section == "aegis" or content.value is None:
                if section not in Documents.model_fields:
                    root.value.setdefault(section, content)
                    root.keys.setdefault(section, node.keys[section])
                continue
            known = root.value.get(section)
            if known is None:
                known = Node({} if isinstance(content.value, dict) else content.value, content.file, 0, 0)
                known.line, known.column = content.line, content.column
                root.value[section] = known
                root.keys[section] = node.keys[section]
            if not isinstance(known.value, dict) or not isinstance(content.value, dict):
                if isinstance(known.value, dict) or known.position != content.position:
                    problems.append(_twice(section, root.keys[section], node.keys[section]))
                continue
            for name, child in content.value.items():
                if name in known.value:
                    problems.append(_twice(name, known.keys[name], content.keys[name]))
                    continue
                known.value[name] = child
                known.keys[name] = content.keys[name]
    return root


def _twice(name: str, first: Position, second: Position) -> AegisError:
    return AegisError(
        "name-duplicate",
        "a name is declared twice",
        f"'{name}' stands first at {first}",
        "remove one of them, or give it another name",
        second,
    )


def _model(
    root: Node, base: Path, whole: bool, problems: list[AegisError], near: Nearest
) -> tuple[Documents | None, set[str]]:
    """The model, or None with problems told; and the stores that it refuses."""
    _make_absolute(root, base)
    try:
        return Documents.model_validate(root.plain()), set()
    except ValidationError as error:
        for problem in shape.problems(error, root, near):
            # With a file that could not be read, what is missing may well stand there.
            if whole or problem.code != "field-missing" or problem.detail != "'system' is missing":
                problems.append(problem)
        places = [refused["loc"] for refused in error.errors(include_url=False, include_input=False)]
        return None, {str(place[1]) for place in places if place[:1] == ("stores",) and len(place) > 1}


def _make_absolute(root: Node, base: Path) -> None:
    for pattern in _PATHS:
        for _, node in root.each(pattern):
            if isinstance(node.value, str) and node.value and not node.value.startswith("${"):
                node.value = os.path.normpath(os.path.join(base, os.path.expanduser(node.value)))


def _render(root: Node, given: Given, problems: list[AegisError], near: Nearest) -> list[Node]:
    """Renders all templates, keeps the values that were used, and returns what could not be rendered."""
    known, wrong = variables.values(root, given, near)
    problems.extend(wrong)
    refused = template.render(root, known, near)
    problems.extend(error for _, error in refused)
    for name, text in known.items():
        declared = root.at(("variables", name))
        if declared is not None and isinstance(declared.value, dict):
            place = declared.child("default") or declared
            declared.value["default"] = Node(text, place.file, place.line, place.column)
            declared.keys.setdefault("default", place.position)
    left = [node for _, node in _templates(root)] if wrong else []
    return [*left, *(node for node, _ in refused)]


def _templates(root: Node) -> Iterator[tuple[Sequence[str | int], Node]]:
    for path, text in root.texts():
        if "{{" in text and path[0] != "variables" and (node := root.at(path)) is not None:
            yield path, node


def _without_echo(problems: list[AegisError], unrendered: list[Node]) -> list[AegisError]:
    """What could not be rendered makes no sense to what reads it; that is told once."""
    places = {node.position for node in unrendered}
    own = ("template-", "variable-", "variables-")
    return [one for one in problems if one.position not in places or one.code.startswith(own)]


def _in_order(problems: list[AegisError]) -> list[AegisError]:
    """By place, each place and code once."""

    def place(problem: AegisError) -> tuple[str, int, int]:
        at = problem.position
        return (at.file, at.line, at.column) if at is not None else ("", 0, 0)

    kept: dict[tuple[object, ...], AegisError] = {}
    said: set[tuple[tuple[str, int, int], str]] = set()
    for problem in sorted(problems, key=place):
        # The engine's own check and the general one may see the same.
        if problem.code == "engine-field-invalid" and (place(problem), "name-unknown") in said:
            continue
        said.add((place(problem), problem.code))
        kept.setdefault((place(problem), problem.code, problem.detail), problem)
    return list(kept.values())
