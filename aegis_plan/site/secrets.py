"""Turns secret references into text at the site that uses them, and hides what it gave out from all that leaves.

Values stay in this process; none is written anywhere.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

from aegis_plan.documents.secrets import Reference, parse
from aegis_plan.errors import AegisError

COMMAND_SECONDS = 30.0
_SHORTEST = 3
"""A shorter value is no secret, and hiding it would make every text unreadable."""
_URL = re.compile(r"://[^/@\s]*?:([^@/\s]+)@")
_WORD = re.compile(r"(?i)password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)")


class Resolver:
    """Resolves references of one site; relative paths count from `base`. Safe for several threads."""

    def __init__(self, environment: Mapping[str, str], base: Path) -> None:
        self._environment = environment
        self._base = base
        self._lock = threading.Lock()
        self._values: dict[Reference, str] = {}
        self._hidden: tuple[str, ...] = ()

    def text(self, value: str) -> str:
        """`value` with every reference replaced. Raises AegisError `secret-unresolved`."""
        if "${" not in value:
            return value
        try:
            parts = parse(value)
        except ValueError as error:
            raise _unresolved("a reference", str(error)) from None
        return "".join(part if isinstance(part, str) else self._value(part) for part in parts)

    def redact(self, text: str) -> str:
        """The text with every value that was given out replaced by `***`."""
        for value in self._hidden:
            if value in text:
                text = text.replace(value, "***")
        return text

    def _value(self, reference: Reference) -> str:
        with self._lock:
            found = self._values.get(reference)
        if found is None:
            found = self._read(reference)
            with self._lock:
                self._values[reference] = found
                hidden = {*self._hidden, *_forms(found)}
                self._hidden = tuple(sorted(hidden, key=len, reverse=True))
        return found

    def _read(self, reference: Reference) -> str:
        if reference.kind == "env":
            value = self._environment.get(str(reference.value))
            if value is None:
                raise _unresolved(str(reference), "the variable is not set at this site")
            return value
        if reference.kind == "file":
            path = self._base / str(reference.value)
            try:
                return path.read_text(encoding="utf-8").rstrip("\r\n")
            except OSError as error:
                raise _unresolved(str(reference), f"{path}: {error.strerror}") from None
            except UnicodeDecodeError:
                raise _unresolved(str(reference), f"{path} is not UTF-8 text") from None
        return self._ask(reference)

    def _ask(self, reference: Reference) -> str:
        try:
            done = subprocess.run(
                list(reference.value),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_SECONDS,
                check=False,
                cwd=self._base,
                env=dict(self._environment),
            )
            # What the command says on its error output may hold the secret: its exit code is all that is told.
            if done.returncode != 0:
                raise _unresolved(str(reference), f"it ended with code {done.returncode}")
            return done.stdout.decode("utf-8").rstrip("\r\n")
        except subprocess.TimeoutExpired:
            raise _unresolved(str(reference), f"no answer within {COMMAND_SECONDS:.0f} s") from None
        except OSError as error:
            raise _unresolved(str(reference), error.strerror or "it cannot be run") from None
        except UnicodeDecodeError:
            raise _unresolved(str(reference), "its output is not UTF-8 text") from None


def _forms(value: str) -> set[str]:
    """All spellings in which a value may turn up: whole, by lines, quoted, and the password inside a connection."""
    seeds = {value, *(line for line in value.splitlines() if len(line) >= 8)}
    for found in (*_URL.findall(value), *_WORD.findall(value)):
        word = found[1:-1].replace("\\'", "'").replace("\\\\", "\\") if found.startswith("'") else found
        seeds |= {found, word, unquote(word)}
    forms = {form for seed in seeds for form in (seed, quote(seed, safe=""), quote(seed), quote_plus(seed))}
    forms |= {repr(form)[1:-1] for form in forms}
    return {form for form in forms if len(form) >= _SHORTEST}


def _unresolved(reference: str, reason: str) -> AegisError:
    return AegisError(
        "secret-unresolved",
        "a secret reference cannot be resolved at this site",
        f"{reference}: {reason}",
        "set it where the site's programs run: environment, file or command of the site, not of your terminal",
    )
