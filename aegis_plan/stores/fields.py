"""Fields of a server that kinds of stores share, and what is wrong with the fields of one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, Field, ValidationError

from aegis_plan.documents.model import Section, Store
from aegis_plan.documents.nearest import meant
from aegis_plan.documents.scalars import Duration
from aegis_plan.documents.secrets import is_written_out

Problem = tuple[tuple[str | int, ...], str, str]
"""Path within the store, message, hint."""


class Control(Section):
    """Commands that start, stop and query a server, where neither systemd nor pg_ctl does."""

    start: tuple[str, ...]
    """A program with its arguments."""
    stop: tuple[str, ...]
    status: tuple[str, ...]
    """Exit code 0: it runs; 3: it does not."""
    timeout: Duration = Field(default="1m", validate_default=True)
    """How long each command may take, and how long after it the server may take to be there or gone."""


def fields_problems(
    member: str, fields: Mapping[str, object], model: type[BaseModel], engine: str
) -> Iterator[Problem]:
    """What the model of a member's server refuses."""
    try:
        model.model_validate(fields)
    except ValidationError as error:
        seen: set[tuple[str | int, ...]] = set()
        for problem in error.errors(include_url=False, include_input=False):
            variant = isinstance(fields.get("control"), dict) and problem["loc"] == ("control", "str")
            path = tuple(part for part in problem["loc"] if part not in ("str", "Control"))
            if path in seen or variant:
                continue
            seen.add(path)
            message, hint = problem["msg"], ""
            if problem["type"] == "extra_forbidden":
                message = f"'{path[-1]}' is no field of a {engine} server"
                hint = near(str(path[-1]), list(model.model_fields))
            elif problem["type"] == "missing":
                message, hint = f"'{path[-1]}' is missing", "a restore needs it to know where and as whom to run"
            yield ("members", member, "server", *path), message, hint


def control_problem(member: str, control: str | Control, own: str) -> Iterator[Problem]:
    """A way to start and stop a server that is none; `own` is the engine's own word."""
    if isinstance(control, str) and control not in ("", own) and not control.startswith("systemd:"):
        words = [word for word in (own, "systemd:UNIT") if word]
        yield (
            ("members", member, "server", "control"),
            "not a way to control a server",
            f"write {', '.join(words)}, or start, stop and status commands",
        )


def written_secret(member: str, field: str, value: str) -> Iterator[Problem]:
    """A secret that is written out instead of being named."""
    try:
        out = is_written_out(value)
    except ValueError:
        out = False  # a malformed reference is told for every text of the documents
    if out:
        yield (
            ("members", member, "server", field),
            "a secret is written out",
            "write ${env:NAME}, ${file:PATH} or ${command:[...]}, and change the secret: it counts as known",
        )


def whole_only(store: Store, engine: str) -> Iterator[Problem]:
    """Kinds of backups that an engine without chain and log does not have."""
    for kind in ("incremental", "log"):
        if store.backup is not None and getattr(store.backup, kind) is not None:
            yield (
                ("backup", kind),
                f"{engine} is backed up whole; there is no {'log to archive' if kind == 'log' else kind}",
                "declare a full that is taken more often",
            )
    if store.backup is not None and store.backup.transfer_compression != "none":
        yield (
            ("backup", "transfer_compression"),
            f"a server of {engine} compresses nothing for the way",
            "take it out; what goes into the repositories is compressed anyway",
        )


def near(word: str, known: list[str]) -> str:
    """The known word that was meant, or all of them."""
    return meant(word, known, f"known: {', '.join(known)}")
