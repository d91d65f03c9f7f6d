"""Reads runs back from the repositories that mirror their journals. What no trusted signer signed is told apart: a run
that somebody else made up can be looked at and is never gone on with.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.sealing.letters import unseal
from aegis_plan.sealing.signatures import Signers, disclose, enclose

PART = "mirror"
_RUN = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*", re.ASCII)
"""What can be the name of a run, and of a folder: whoever writes to a bucket gives objects any name, `..` too."""


@dataclass(frozen=True)
class Mirrored:
    """A run as a repository has it."""

    run: str
    plan: bytes
    """The bytes of its plan file; empty where there is none."""
    lines: tuple[bytes, ...]
    """Of its journal, from the first on without a gap."""
    signed: bool
    """Whether plan and all lines were signed by somebody who is trusted."""


def signed(lines: bytes, run: str, number: int, site: str, key: bytes) -> bytes:
    """The lines with one more behind them, which vouches for them: recipients are public, and whoever can write to a
    repository could seal a journal of his own."""
    body = {"first": number, "name": run, "sha256": hashlib.sha256(lines).hexdigest()}
    return lines + b"\n" + enclose(body, PART, site, key)


def runs(repository: Repository, system: str) -> dict[str, list[str]]:
    """Every run that is mirrored there, oldest first, with the keys of its objects."""
    root = f"{keys.state_root(system)}runs/"
    found: dict[str, list[str]] = {}
    for listed in repository.listing(root):
        run, slash, _ = listed.key[len(root) :].partition("/")
        if slash and _RUN.fullmatch(run):
            found.setdefault(run, []).append(listed.key)
    return dict(sorted(found.items()))


def fetch(
    repository: Repository, system: str, run: str, objects: Sequence[str], identities: Sequence[str], signers: Signers
) -> Mirrored:
    """The run, as far as it is there. Raises AegisError `key-opens-not` and what the repository raises."""
    plan, whole = b"", True
    place = keys.run_plan(system, run)
    if place in objects:
        plan, whole = _opened(repository, place, run, 0, identities, signers)
    lines: list[bytes] = []
    for key, first, last in _ranges(objects):
        if first > len(lines) + 1:
            break  # a gap: what is behind it cannot be used
        if last <= len(lines):
            continue
        data, good = _opened(repository, key, run, first, identities, signers)
        # Objects of two lives may overlap; they never differ.
        lines.extend(data.split(b"\n")[len(lines) + 1 - first :])
        whole = whole and good
    return Mirrored(run, plan, tuple(lines), whole and bool(plan))


def _ranges(objects: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    found = []
    for key in objects:
        first, dash, last = key.rpartition("/")[2].partition("-")
        if dash and first.isdigit() and last.isdigit():
            found.append((int(first), int(last), key))
    for begin, end, key in sorted(found):
        yield key, begin, end


def _opened(
    repository: Repository, key: str, run: str, number: int, identities: Sequence[str], signers: Signers
) -> tuple[bytes, bool]:
    """The lines of one object, and whether they are signed."""
    whole = unseal(read(repository, key), identities, key)
    lines, feed, last = whole.rpartition(b"\n")
    if not feed or not last.startswith(b'{"' + PART.encode() + b'":'):
        return whole, False
    try:
        body, _ = disclose(last, PART, signers)
    except AegisError:
        return lines, False
    wanted = {"first": number, "name": run, "sha256": hashlib.sha256(lines).hexdigest()}
    return lines, body == wanted
