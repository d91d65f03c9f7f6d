"""`aegis fmt`: brings documents into one style. It never changes what they mean, and writes no file that it does not
have to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from aegis_plan.cli.documents import documents_folder
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import EXIT_FAILED, AegisError, DocumentsError, UsageError
from aegis_plan.report.visible import dumps

_STDIN = "<stdin>"


@dataclass(frozen=True)
class _Result:
    """What became of one file."""

    file: str
    before: bytes = b""
    after: bytes = b""
    problem: AegisError | None = None

    @property
    def changes(self) -> bool:
        return self.problem is None and self.before != self.after


@click.command("fmt")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(allow_dash=True))
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and list the files that differ.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def command(session: Session, paths: tuple[str, ...], check: bool, diff: bool, as_json: bool) -> int:
    """Format the documents below each PATH (default: plans/, or the current folder); '-' is standard input.

    Comments and texts stay as they are; there are no options of style.
    """
    from aegis_plan.documents.format import format_document
    from aegis_plan.documents.load import read_document
    from aegis_plan.documents.rewrite import rewrite

    if "-" in paths:
        if len(paths) > 1:
            raise UsageError("stdin-alone", "standard input goes with no other path", "'-' stands beside other paths")
        return _filter(session, check, diff, as_json)
    results: list[_Result] = []
    chosen = [documents_folder(Path(path), several=True) for path in paths] or [documents_folder(several=True)]
    for file in _files(chosen):
        try:
            before = read_document(file)
            after = format_document(before, str(file))
            if after != before and not check and not diff:
                rewrite(file, before, after)
            results.append(_Result(str(file), before, after))
        except AegisError as error:
            results.append(_Result(str(file), problem=error))
    return _tell(session, results, check, diff, as_json)


def _files(roots: list[Path]) -> Iterator[Path]:
    """Every document once, also where it is named twice or linked to."""
    from aegis_plan.documents.load import document_files

    seen: set[str] = set()
    for root in roots:
        for file in document_files(root):
            if (real := os.path.realpath(file)) not in seen:
                seen.add(real)
                yield file


def _filter(session: Session, check: bool, diff: bool, as_json: bool) -> int:
    """Standard input to standard output."""
    from aegis_plan.documents.format import format_document

    data = sys.stdin.buffer.read()
    result = _Result(_STDIN, data, format_document(data, _STDIN))
    if check or diff or as_json:
        return _tell(session, [result], check, diff, as_json)
    sys.stdout.buffer.write(result.after)
    return 0


def _tell(session: Session, results: list[_Result], check: bool, diff: bool, as_json: bool) -> int:
    changed = [result for result in results if result.changes]
    problems = [result.problem for result in results if result.problem is not None]
    code = EXIT_FAILED if problems or (check and changed) else 0
    if as_json:
        data: dict[str, object] = {
            "format": 1,
            "written": not check and not diff and results[0].file != _STDIN,
            "changed": [{"file": result.file, **({"diff": _diff(result)} if diff else {})} for result in changed],
            "unchanged": [result.file for result in results if not result.changes and result.problem is None],
            "findings": [{"severity": "error", **problem.as_data()} for problem in problems],
        }
        if results[0].file == _STDIN:
            data["text"] = results[0].after.decode()
        click.echo(dumps(data, indent=2))
        return code
    for result in changed:
        if diff:
            _show(session, _diff(result))
        else:
            click.echo(result.file)
    if problems:
        raise problems[0] if len(problems) == 1 else DocumentsError(problems)
    count = len(changed) if changed else len(results)
    noun = "file" if count == 1 else "files"
    if not changed:
        verb = "is" if count == 1 else "are"
        click.echo(f"{count} {noun} {verb} formatted already.", err=True)
    elif check or diff:
        click.echo(f"{count} {noun} would change. 'aegis fmt' writes {'it' if count == 1 else 'them'}.", err=True)
    else:
        click.echo(f"{count} {noun} formatted.", err=True)
    return code


def _diff(result: _Result) -> str:
    from difflib import unified_diff

    before, after = (data.decode("utf-8-sig").splitlines(keepends=True) for data in (result.before, result.after))
    lines = unified_diff(before, after, result.file, result.file)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _show(session: Session, diff: str) -> None:
    colour = session.color and sys.stdout.isatty()
    for line in diff.splitlines():
        paint = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1]) if colour else None
        click.echo(click.style(line, fg=paint) if paint else line)
