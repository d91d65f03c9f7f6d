"""`aegis validate`: reads the documents, says what is wrong with them and what they promise and cannot keep; touches
nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.completing import rules
from aegis_plan.cli.failure import MOST_SHOWN
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import EXIT_BREACH, EXIT_OK, AegisError, DocumentsError, Finding, Position, UsageError
from aegis_plan.report.visible import dumps


@click.command("validate")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="End with 3 for a warning too.")
@click.option(
    "--ignore", "ignored", metavar="ID", multiple=True, shell_complete=rules, help="Leave out what this rule finds."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def command(session: Session, path: Path | None, strict: bool, ignored: tuple[str, ...], as_json: bool) -> int:
    """Check the documents below PATH (default: plans/, or the current folder).

    Exit code 0: fine, warnings or not. 1: they cannot be used. 3: what they promise cannot hold."""
    from aegis_plan.cli.wire import load_documents
    from aegis_plan.clock import SystemClock

    _known(ignored)
    try:
        loaded = load_documents(path)
    except DocumentsError as error:
        if not as_json:
            raise
        data = [{"severity": "error", **problem.as_data()} for problem in error.problems]
        _print(False, data, 0)
        return error.exit_code
    warnings = loaded.warnings(SystemClock().now())
    findings = [finding for finding in warnings if finding.code not in ignored]
    left_out = len(warnings) - len(findings)
    severities = [finding.severity for finding in findings]
    exit_code = EXIT_BREACH if "breach" in severities or (strict and "warning" in severities) else EXIT_OK
    if as_json:
        _print(True, [_as_data(finding) for finding in findings], left_out)
        return exit_code
    from aegis_plan.report.finding import show

    out, lines = session.console(), _Lines()
    shown = _gravest(findings)
    for finding in shown:
        show(finding, lines.of(finding.position), out)
    if len(shown) < len(findings):
        out.print(f"And {len(findings) - len(shown)} more, none of them graver; --json has all.\n")
    documents = loaded.documents
    parts = [
        (len(documents.services), "service"),
        (len(documents.stores), "store"),
        (len(documents.sites), "site"),
        (len(documents.repositories), "repository"),
        (len(documents.scenarios), "scenario"),
    ]
    out.print(f"The documents of {documents.system.name} are valid: {_counted(parts)}.")
    found = _counted([(severities.count(severity), severity) for severity in ("breach", "warning", "note")])
    if found:
        out.print(f"Found: {found}. 'aegis explain ID' says more about each.")
    if left_out:
        out.print(f"Left out by --ignore: {_counted([(left_out, 'finding')])}.")
    return exit_code


def _known(ignored: tuple[str, ...]) -> None:
    """An id that no finding can have would leave nothing out, and nobody would notice."""
    from aegis_plan.documents.lint.registry import IDS
    from aegis_plan.documents.nearest import Nearest

    for name in ignored:
        if name not in IDS:
            hint = Nearest().hint(name, IDS)
            raise UsageError("rule-unknown", "lint has no such rule", f"no rule is called '{name}'", hint)


def _gravest(findings: list[Finding]) -> list[Finding]:
    """So many of them as anybody reads, in their order."""
    if len(findings) <= MOST_SHOWN:
        return findings
    grave = {"error": 0, "breach": 0, "warning": 1, "note": 2}
    places = sorted(range(len(findings)), key=lambda at: grave[findings[at].severity])[:MOST_SHOWN]
    return [findings[at] for at in sorted(places)]


class _Lines:
    """The lines of documents, each file read once. What changed since it was checked is shown as it is now, or not."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def of(self, position: Position | None) -> str:
        """The line at a position; empty where there is none."""
        from aegis_plan.documents.load import read_document

        if position is None:
            return ""
        if position.file not in self._files:
            try:
                text = read_document(Path(position.file)).decode("utf-8-sig", "replace")
            except AegisError:
                text = ""
            # YAML breaks lines at these and at no others.
            self._files[position.file] = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        lines = self._files[position.file]
        return lines[position.line - 1] if 0 < position.line <= len(lines) else ""


def _print(valid: bool, findings: list[dict[str, object]], left_out: int) -> None:
    counts = dict.fromkeys(("error", "breach", "warning", "note"), 0)
    for finding in findings:
        counts[str(finding["severity"])] += 1
    data = {"format": 1, "valid": valid, "counts": counts, "left_out": left_out, "findings": findings}
    click.echo(dumps(data, indent=2))


def _counted(parts: list[tuple[int, str]]) -> str:
    return ", ".join(f"{count} {_plural(word, count)}" for count, word in parts if count)


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}es" if word.endswith("ch") else f"{word}s"


def _as_data(finding: Finding) -> dict[str, object]:
    data: dict[str, object] = {"severity": finding.severity, "code": finding.code, "summary": finding.summary}
    for name in ("detail", "hint", "subject"):
        if value := getattr(finding, name):
            data[name] = value
    if finding.position:
        data["position"] = vars(finding.position)
    return data
