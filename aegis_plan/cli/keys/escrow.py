"""`aegis keys escrow`: puts the present values of secret references away, sealed to the recovery recipient alone, says
what is in an escrow, and gives the values back to who has the recovery key.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.keys.files import private
from aegis_plan.cli.options import acting_options
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import EXIT_FAILED, AegisError, UsageError
from aegis_plan.report.visible import dumps, visible

if TYPE_CHECKING:
    from aegis_plan.cli.wire import Here, World
    from aegis_plan.documents.model import Documents
    from aegis_plan.sealing.escrow import Escrow

_VARIABLE = re.compile(
    r"\$\{env:(?!(?:PATH|IFS|ENV|PS\d|SHELLOPTS|BASH\w*|PROMPT_COMMAND|(?:LD|DYLD|PYTHON)\w*)\})([A-Za-z_]\w*)\}",
    re.ASCII,
)
"""A variable that can be a secret: those that make a shell or a program run something else are none."""


@click.command("escrow")
@click.option("--scenario", metavar="NAME", shell_complete=declared("scenarios"),
              help="Only what this scenario needs; default everything.")  # fmt: skip
@click.option("--out", "target", type=click.Path(path_type=Path),
              help="Into this new file, and not into the repositories; with --open, where the values go.")  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="Say what is in the newest one and whether it is stale.")
@click.option("--open", "opening", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Give the values of this file back.")  # fmt: skip
@click.option("--identity", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="File with the recovery key, for --open.")  # fmt: skip
@acting_options
@pass_session
def command(
    session: Session,
    /,
    scenario: str | None,
    target: Path | None,
    listing: bool,
    opening: Path | None,
    identity: Path | None,
    **acting: Any,
) -> int:
    """Seal the values of all secret references to the recovery recipient alone, and put that into the repositories.

    Values are shown nowhere. --open with the recovery key gives them back as lines for a shell, in a file that only its
    owner can read.
    """
    if opening is not None:
        _open(session, opening, identity, target)
        return 0
    from aegis_plan.cli.planning import make_plan, require_known
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.plan.plan import Intent

    loaded = load_documents()
    require_known("scenario", scenario, loaded.documents.scenarios)
    with world(loaded.documents, loaded.digest) as seen:
        if listing:
            return _list(session, seen, scenario or "", acting["as_json"])
        if target is not None:
            return _write(session, loaded.documents, seen.here, scenario or "", target)
        from aegis_plan.cli.apply import plan_and_apply
        from aegis_plan.plan.planfile import digest

        intent = Intent(kind="escrow", scenario=scenario or "", options={"site": seen.here.file.site})
        plan = make_plan(seen, intent)
        return plan_and_apply(
            session, seen, plan, digest(plan), acting["yes"], acting["approved"], acting["lock_timeout"],
            acting["break_glass"], acting["as_json"],
        )  # fmt: skip


def _write(session: Session, documents: Documents, here: Here, scenario: str, target: Path) -> int:
    from aegis_plan.clock import SystemClock, new_id
    from aegis_plan.plan.escrow import needed
    from aegis_plan.sealing.escrow import make

    if documents.sealing is None or here.keys.signing is None:
        raise AegisError(
            "signing-key-missing",
            "this site cannot sign what it archives",
            f"site {here.file.site}",
            "name `signing_key` in the site file and `sealing` in the documents",
        )
    values, missing = _values(here, needed(documents, scenario))
    now = SystemClock().now()
    data = make(
        new_id(now), documents.system.name, here.file.site, scenario, now, documents.sealing.recovery_recipient,
        values, here.keys.signing,
    )  # fmt: skip
    private(target, data.decode())
    out = session.console()
    out.print(f"{target} holds {len(values)} secrets, for the recovery key alone.", soft_wrap=True)
    for reference in missing:
        out.print(f"  not in it, because it does not resolve here: {reference}", soft_wrap=True)
    return EXIT_FAILED if missing else 0


def _values(here: Here, wanted: dict[str, tuple[str, ...]]) -> tuple[dict[str, str], list[str]]:
    values, missing = {}, []
    for reference in wanted:
        try:
            values[reference] = here.secrets.text(reference)
        except AegisError:
            missing.append(reference)
    return values, missing


def _newest(seen: World) -> tuple[Escrow | None, list[str]]:
    """The newest escrow that a listed signer signed, and what is wrong with the repositories."""
    from aegis_plan.repositories import keys
    from aegis_plan.repositories.contract import read
    from aegis_plan.sealing.escrow import look

    sealing = seen.documents.sealing
    found: list[Escrow] = []
    wrong: list[str] = []
    for name, repository in seen.repositories.items():
        try:
            if isinstance(repository, AegisError):
                raise repository
            listed = list(repository.listing(keys.escrow_root(seen.documents.system.name)))
            for one in listed:
                found.append(look(read(repository, one.key), sealing.believed if sealing else {}))
            if not listed:
                wrong.append(f"{name} holds none")
        except AegisError as error:
            wrong.append(f"{name}: {error}")
    mine = [one for one in found if one.system == seen.documents.system.name]
    return max(mine, key=lambda one: one.written, default=None), wrong


def _list(session: Session, seen: World, scenario: str, as_json: bool) -> int:
    from aegis_plan.documents.recipients import short_id
    from aegis_plan.plan.escrow import needed
    from aegis_plan.sealing.escrow import mark

    newest, wrong = _newest(seen)
    wanted = needed(seen.documents, scenario or (newest.scenario if newest else ""))
    here, sealing = seen.here, seen.documents.sealing
    stale: list[str] = []
    if newest is None:
        stale.append("there is no escrow")
    else:
        values, _ = _values(here, wanted)
        own = here.keys.signing if newest.site == here.file.site else None
        for reference in wanted:
            if reference not in newest.references:
                stale.append(f"{reference} is needed and not in it")
            elif (
                own is not None
                and reference in values
                and newest.marks.get(reference) != mark(reference, values[reference], own)
            ):
                stale.append(f"{reference} has another value now")
        if sealing is not None and newest.recipient != sealing.recovery_recipient:
            stale.append(f"it is sealed to {short_id(newest.recipient)}, not to the recovery recipient of today")
    if as_json:
        from aegis_plan.clock import stamp

        data = {
            "format": 1,
            "escrow": newest.id if newest else None,
            "written": stamp(newest.written) if newest else None,
            "scenario": newest.scenario if newest else None,
            "references": list(newest.references) if newest else [],
            "stale": stale,
            "repositories": wrong,
        }
        click.echo(dumps(data, indent=2))
    else:
        out = session.console()
        if newest is not None:
            out.print(
                f"escrow {newest.id} for {newest.scenario or 'everything'}, sealed to {short_id(newest.recipient)}"
            )
            for reference in newest.references:
                out.print(f"  {reference}", soft_wrap=True, markup=False)
        for text in (*stale, *wrong):
            out.print(f"warning: {text}", soft_wrap=True, markup=False)
        if stale:
            out.print("'aegis keys escrow' puts the values of today away.")
    return EXIT_FAILED if stale or wrong else 0


def _open(session: Session, source: Path, identity: Path | None, target: Path | None) -> None:
    from aegis_plan.sealing.escrow import look, opened
    from aegis_plan.site.sitefile import identities_in

    if identity is None or target is None:
        raise UsageError(
            "options-missing",
            "something that is needed was not given",
            "--open needs --identity with the recovery key and --out for the values",
            "the values are never shown on the screen; --out writes a file that only its owner can read",
        )
    found = look(source.read_bytes(), None)
    values = opened(found, identities_in(identity.read_text(encoding="utf-8"), str(identity)))
    private(target, _script(found, values))
    out = session.console()
    out.print(f"{target} holds {len(values)} secrets; '. {target}' sets those of the environment.", soft_wrap=True)
    out.print("Nobody checked who wrote the escrow: compare its date with the recovery sheet.", soft_wrap=True)


def _script(found: Escrow, values: Mapping[str, str]) -> str:
    """What a shell reads. Recipients are public, so that anybody could have written the escrow: nothing in it but a
    quoted value and the name of a variable gets out of a comment."""
    head = f"{found.system}, escrow {found.id}, written {found.written.isoformat()} by {found.site}"
    lines = [f"# {visible(head)}"]
    for reference, value in values.items():
        named = _VARIABLE.fullmatch(reference)
        if named is not None:
            lines.append(f"export {named[1]}={shlex.quote(value)}")
        else:
            lines += [f"# {visible(reference)}", *(f"#   {line}" for line in value.splitlines())]
    return "\n".join(lines)
