"""`aegis validate`: reads the documents and says what is wrong with them; touches nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import DocumentsError, Finding


@click.command("validate")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def command(session: Session, path: Path | None, as_json: bool) -> int:
    """Check the documents below PATH (default: plans/, or the current folder)."""
    from aegis_plan.cli.wire import load_documents

    try:
        loaded = load_documents(path)
    except DocumentsError as error:
        if not as_json:
            raise
        data = [{"severity": "error", **problem.as_data()} for problem in error.problems]
        click.echo(json.dumps({"format": 1, "valid": False, "findings": data}, indent=2, ensure_ascii=False))
        return error.exit_code
    if as_json:
        data = [_as_data(warning) for warning in loaded.warnings]
        click.echo(json.dumps({"format": 1, "valid": True, "findings": data}, indent=2, ensure_ascii=False))
        return 0
    from aegis_plan.plan.plan import PlanFinding
    from aegis_plan.report.plan import show_finding

    out = session.console()
    for warning in loaded.warnings:
        show_finding(
            PlanFinding(
                severity=warning.severity,
                code=warning.code,
                summary=warning.summary,
                detail=warning.detail,
                hint=warning.hint,
                subject=warning.subject,
                place=str(warning.position or ""),
            ),
            out,
        )
    documents = loaded.documents
    parts = [
        (len(documents.services), "service"),
        (len(documents.stores), "store"),
        (len(documents.sites), "site"),
        (len(documents.repositories), "repository"),
        (len(documents.scenarios), "scenario"),
    ]
    names = ", ".join(f"{count} {_plural(word, count)}" for count, word in parts if count)
    out.print(f"The documents of {documents.system.name} are valid: {names}.")
    return 0


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def _as_data(finding: Finding) -> dict[str, object]:
    data: dict[str, object] = {"severity": finding.severity, "code": finding.code, "summary": finding.summary}
    for name in ("detail", "hint", "subject"):
        if value := getattr(finding, name):
            data[name] = value
    if finding.position:
        data["position"] = vars(finding.position)
    return data
