"""Runs every rule over documents that are valid, and takes out what was accepted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from aegis_plan.documents.lint.registry import RULES
from aegis_plan.documents.lint.rule import Rule, Wrong
from aegis_plan.documents.lint.scope import Scope
from aegis_plan.documents.model import EXPERIMENTAL, Documents
from aegis_plan.documents.nearest import Nearest
from aegis_plan.documents.tree import Node, Path
from aegis_plan.errors import Finding

_MOST = 3
"""Reasons that are told of one place; who has read three has understood."""


def findings(documents: Documents, root: Node, now: datetime) -> tuple[Finding, ...]:
    """Every finding by its place. An accepted one is a note that says why; an acceptance that fits nothing is one
    too."""
    scope = Scope(documents, root, now)
    found: list[Finding] = list(_experimental(documents, root))
    used: set[tuple[str, str]] = set()
    subjects: dict[str, list[str]] = {}
    for rule in RULES:
        for wrong in _together(rule.look(scope)):
            subject = "/".join(str(part) for part in wrong.path)
            subjects.setdefault(rule.id, []).append(subject)
            reason = documents.accepted.get(rule.id, {}).get(subject)
            if reason is not None:
                used.add((rule.id, subject))
            found.append(_finding(rule, wrong, subject, reason, root))
    found.extend(_unmatched(documents, root, used, subjects))
    return tuple(sorted(found, key=_place))


def _together(wrongs: Iterable[Wrong]) -> list[Wrong]:
    """One for each place: what several scenarios make of it is told, and accepted, together."""
    places: dict[Path, list[Wrong]] = {}
    for wrong in wrongs:
        places.setdefault(wrong.path, []).append(wrong)
    found = []
    for first, *more in places.values():
        details = list(dict.fromkeys(wrong.detail for wrong in (first, *more)))
        left = len(details) - _MOST
        said = "; ".join(details[:_MOST]) + (f"; and {left} more of this kind" if left > 0 else "")
        found.append(replace(first, detail=said))
    return found


def _finding(rule: Rule, wrong: Wrong, subject: str, reason: str | None, root: Node) -> Finding:
    place = root.place(wrong.path, key=wrong.key)
    if reason is None:
        return Finding(rule.severity, rule.id, rule.summary, wrong.detail, wrong.hint, subject, place)
    detail = f"{wrong.detail}; accepted ({rule.severity}): {reason}"
    return Finding("note", rule.id, rule.summary, detail, "", subject, place)


def _place(finding: Finding) -> tuple[str, int, int]:
    at = finding.position
    return (at.file, at.line, at.column) if at is not None else ("", 0, 0)


def _experimental(documents: Documents, root: Node) -> Iterator[Finding]:
    for section, meaning in EXPERIMENTAL.items():
        if getattr(documents, section):
            yield Finding(
                "note",
                "section-experimental",
                "a section that is checked and not acted on yet",
                f"'{section}': {meaning}",
                "",
                section,
                root.place((section,), key=True),
            )


def _unmatched(
    documents: Documents, root: Node, used: set[tuple[str, str]], subjects: dict[str, list[str]]
) -> Iterator[Finding]:
    near = Nearest()
    rules = tuple(sorted(rule.id for rule in RULES))
    for name, accepted in documents.accepted.items():
        known = tuple(sorted(subjects.get(name, [])))
        for subject in accepted:
            if (name, subject) in used:
                continue
            if name not in rules:
                detail, hint = f"no rule is called '{name}'", near.hint(name, rules)
            elif known:
                detail, hint = f"'{name}' finds nothing at '{subject}'", near.hint(subject, known)
            else:
                detail, hint = f"'{name}' finds nothing any more", "take the line out: what it accepted is mended"
            yield Finding(
                "warning",
                "acceptance-unmatched",
                "an acceptance that fits no finding",
                detail,
                hint,
                f"accepted/{name}/{subject}",
                root.place(("accepted", name, subject), key=True),
            )
