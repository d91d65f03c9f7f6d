"""What every document of the right form must still satisfy: no cycles, no tier inversions, no secrets written out.

Pure but for the time zones and the engines' own checks; warnings of style are the business of lint.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from collections.abc import Iterator

from pydantic import ValidationError

from aegis_plan.documents import secrets
from aegis_plan.documents.model import Documents, Store
from aegis_plan.documents.nearest import Nearest
from aegis_plan.documents.tree import Node, Path, dotted
from aegis_plan.errors import AegisError

_RECIPIENT = re.compile(r"age1[a-z0-9]{20,2000}")
_MOST_CIRCLES = 20
"""Circles overlap, and breaking one breaks others: more at once tell nothing."""
_SECRET_FIELDS = (
    ("repositories", "*", "secret_key"),
    ("repositories", "*", "connection"),
    ("repositories", "*", "sas"),
    ("repositories", "*", "account_key"),
    *(
        ("repositories", "*", purpose, field)
        for purpose in ("read", "prune")
        for field in ("secret_key", "connection", "sas", "account_key")
    ),
    ("channels", "*", "url"),
)
"""Values that are secrets as a whole; those of stores are known to the engines."""


def problems(
    root: Node, near: Nearest, unreadable: set[str], documents: Documents | None = None
) -> Iterator[AegisError]:
    """An error for each thing that makes no sense. `unreadable` names stores that the model refuses;
    `documents` is the model where it refuses nothing."""
    yield from cycles(root)
    yield from inversions(root)
    yield from _timezone(root, near)
    yield from _sealing(root)
    yield from _engines(root, unreadable, documents)
    yield from _tiers(root)
    yield from _steps(root)
    yield from _places(root)
    yield from _storages(root)


def written_secrets(root: Node) -> Iterator[AegisError]:
    """An error for each malformed reference and each secret that is written out; none repeats what was written."""
    for path, text in root.texts():
        if "$" in text:
            try:
                secrets.parse(text)
            except ValueError as error:
                yield AegisError(
                    "secret-malformed",
                    "a secret reference is malformed",
                    f"{dotted(path)}: {error}",
                    "write $${ where a text has to hold ${ itself",
                    root.place(path),
                )
                continue
        if secrets.has_literal_password(text):
            yield _literal(path, root)
    for pattern in _SECRET_FIELDS:
        for path, node in root.each(pattern):
            if isinstance(node.value, str) and _is_written_out(node.value):
                yield _literal(path, root)


def _is_written_out(text: str) -> bool:
    try:
        return secrets.is_written_out(text)
    except ValueError:
        return False  # a malformed reference was told already


def _literal(path: Path, root: Node) -> AegisError:
    return AegisError(
        "secret-literal",
        "a secret is written out in a document",
        f"{dotted(path)} holds a secret that everyone who reads the documents can read",
        "put it where only its site can read it, write ${env:NAME}, ${file:PATH} or ${command:[...]}, and change the "
        "secret: it counts as known",
        root.place(path),
    )


def _uses(root: Node) -> dict[str, list[tuple[str, Path]]]:
    found: dict[str, list[tuple[str, Path]]] = {}
    for path, node in root.each(("services", "*", "uses", "[]")):
        if isinstance(node.value, str):
            found.setdefault(str(path[1]), []).append((node.value, path))
    return found


def cycles(root: Node) -> Iterator[AegisError]:
    """One error for each way in which services need themselves."""
    uses = _uses(root)
    done: set[str] = set()
    told: set[frozenset[str]] = set()
    for start in uses:
        trail: list[str] = []
        stack: list[tuple[str, Iterator[tuple[str, Path]]]] = []
        if start not in done:
            trail, stack = [start], [(start, iter(uses[start]))]
        places = {start: 0}
        while stack and len(told) < _MOST_CIRCLES:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                trail.pop()
                places.pop(name, None)
                done.add(name)
                continue
            used, path = following
            if used in places:
                circle = trail[places[used] :]
                if frozenset(circle) not in told:
                    told.add(frozenset(circle))
                    yield AegisError(
                        "dependency-cycle",
                        "services need each other in a circle",
                        " -> ".join([*circle, used]),
                        "nothing of them could begin first; remove one of these uses",
                        root.place(path),
                    )
            elif used in uses and used not in done:
                places[used] = len(trail)
                trail.append(used)
                stack.append((used, iter(uses[used])))


def inversions(root: Node) -> Iterator[AegisError]:
    """An error for each service that needs one of a less critical tier."""
    tiers = {
        str(path[1]): int(node.value)
        for path, node in root.each(("services", "*", "tier"))
        if isinstance(node.value, str) and node.value.isdecimal() and len(node.value) < 10
    }
    for name, used in _uses(root).items():
        for other, path in used:
            if name in tiers and other in tiers and tiers[other] > tiers[name]:
                yield AegisError(
                    "tier-inversion",
                    "a service needs one of a less critical tier",
                    f"'{name}' of tier {tiers[name]} uses '{other}' of tier {tiers[other]}, which comes back later",
                    f"put '{other}' into tier {tiers[name]}, or remove the use",
                    root.place(path),
                )


def _timezone(root: Node, near: Nearest) -> Iterator[AegisError]:
    node = root.at(("system", "timezone"))
    if node is None or not isinstance(node.value, str) or node.value == "UTC":
        return
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(node.value)
    except (ValueError, KeyError, OSError):
        yield AegisError(
            "timezone-unknown",
            "no such time zone",
            "system.timezone is no name of the IANA time zone database of this machine",
            near.hint(node.value, available_timezones()),
            node.position,
        )


def _sealing(root: Node) -> Iterator[AegisError]:
    recipients = [
        *root.each(("sealing", "recipients", "[]")),
        *root.each(("sealing", "recovery_recipient")),
        *root.each(("sealing", "host_recipients", "*")),
    ]
    for path, node in recipients:
        if isinstance(node.value, str) and not _RECIPIENT.fullmatch(node.value):
            yield AegisError(
                "recipient-malformed",
                "not an age recipient",
                f"{dotted(path)} does not read age1...",
                "make a pair with 'aegis keys new' and put its public half here",
                node.position,
            )
    for path, node in [
        *root.each(("sealing", "signers", "*")),
        *root.each(("sealing", "former_signers", "*", "[]")),
    ]:
        if isinstance(node.value, str) and not _is_signer(node.value):
            yield AegisError(
                "signer-malformed",
                "not a public signing key",
                f"{dotted(path)} does not read ed25519: and 32 bytes in base64",
                "make a pair with 'aegis keys new' and put its public half here",
                node.position,
            )
    repositories = root.child("repositories")
    for path, backup in root.each(("stores", "*", "backup")):
        if not isinstance(backup.value, dict):
            continue
        if root.child("sealing") is None:
            yield AegisError(
                "sealing-missing",
                "the documents do not say to whom backups are sealed",
                f"{dotted(path)} needs the section 'sealing'",
                "make keys with 'aegis keys new' and add the lines that it prints",
                root.place(path, key=True),
            )
        used = backup.child("repositories")
        wanted = root.at(("sealing", "minimum_copies"))
        if used is None or not isinstance(used.value, list):
            continue
        count = len({item.value for item in used.value if isinstance(item.value, str)})
        least = wanted.value if wanted is not None and isinstance(wanted.value, str) else "1"
        if least.isdecimal() and len(least) < 10 and count < int(least):
            yield AegisError(
                "copies-impossible",
                "fewer repositories than copies that are asked for",
                f"{dotted(path)} names {count}, and sealing.minimum_copies asks for {least}",
                "add a repository, or ask for fewer copies",
                used.position,
            )
    if repositories is not None and isinstance(repositories.value, dict) and len(repositories.value) > 1:
        state = root.child("state")
        if state is None:
            yield AegisError(
                "authority-missing",
                "several repositories, and nothing says which one keeps the leases",
                f"declared are {', '.join(sorted(repositories.value))}",
                f"add 'state: {{authority: {min(repositories.value)}}}', naming one that survives the disaster",
                root.place(("repositories",), key=True),
            )


def _is_signer(text: str) -> bool:
    if not text.startswith("ed25519:"):
        return False
    try:
        return len(base64.b64decode(text.removeprefix("ed25519:"), validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _engines(root: Node, unreadable: set[str], documents: Documents | None) -> Iterator[AegisError]:
    from aegis_plan.stores.specs import spec

    stores = root.child("stores")
    for name, node in stores.value.items() if stores is not None and isinstance(stores.value, dict) else ():
        engine = node.child("engine")
        if engine is None or not isinstance(engine.value, str):
            continue
        try:
            found = spec(engine.value)
        except AegisError as error:
            error.position = engine.position
            yield error
            continue
        if name in unreadable:
            continue
        try:
            store = documents.stores[name] if documents is not None else Store.model_validate(node.plain())
        except ValidationError:
            continue  # the model has told it
        for path, message, hint in found.check(name, store):
            place: Path = ("stores", name, *path)
            known = root.at(place)
            yield AegisError(
                "engine-field-invalid",
                "a field of a store that its engine refuses",
                f"{dotted(place)}: {message}",
                hint,
                root.place(place, key=known is not None and "no field" in message),
            )


def _tiers(root: Node) -> Iterator[AegisError]:
    for path, _ in root.each(("tiers", "*")):
        name = str(path[1])
        if not (name.isdecimal() and name.isascii() and 1 <= len(name) <= 4 and name[0] != "0"):
            yield AegisError(
                "tier-invalid",
                "tiers are numbered",
                "the key of a tier is a whole number from 1, the most critical first",
                "write 1:, 2:, 3:, and the word as its name",
                root.place(path, key=True),
            )


def _steps(root: Node) -> Iterator[AegisError]:
    for path, node in root.each(("scenarios", "*", "steps", "*", "*")):
        if isinstance(node.value, dict) and ("run" in node.value) == ("manual" in node.value):
            yield AegisError(
                "step-invalid",
                "a step does one thing",
                f"{dotted(path)} has {'both' if 'run' in node.value else 'neither'} of 'run' and 'manual'",
                "give it a command to run, or say what a person has to do",
                root.place(path, key=True),
            )


def _places(root: Node) -> Iterator[AegisError]:
    for path, node in root.each(("stores", "*", "keep_old_data")):
        if isinstance(node.value, str) and node.value not in ("beside", "no") and not node.value.startswith("/"):
            yield AegisError(
                "value-invalid",
                "a value that cannot be",
                f"{dotted(path)}: it is beside, no, or an absolute path on the server's host",
                "write one of them",
                node.position,
            )


def _storages(root: Node) -> Iterator[AegisError]:
    """Two names for one storage would count as two copies."""
    known: dict[tuple[str, ...], str] = {}
    for path, node in root.each(("repositories", "*")):
        if not isinstance(node.value, dict):
            continue
        said = {name: part.value for name, part in node.value.items() if isinstance(part.value, str)}
        storage: tuple[str, ...] | None = None
        if said.get("kind") == "local" and "path" in said:
            storage = ("local", said.get("site", ""), posixpath.normpath(said["path"]))
        elif said.get("kind") == "s3" and "bucket" in said:
            storage = ("s3", said.get("endpoint", "").rstrip("/"), said["bucket"], said.get("prefix", "").strip("/"))
        elif said.get("kind") == "azure" and "container" in said:
            # What stands in a connection is a secret: only the same reference is surely the same account.
            account = said.get("endpoint", "").rstrip("/") or said.get("account", "") or said.get("connection", "")
            storage = ("azure", account, said["container"], said.get("prefix", "").strip("/"))
        if storage is None:
            continue
        first = known.setdefault(storage, str(path[-1]))
        if first != path[-1]:
            yield AegisError(
                "storage-declared-twice",
                "two repositories are one storage",
                f"{dotted(path)} is where repositories.{first} is, and what lies there is one copy",
                "take one of them out, or give it a place of its own",
                root.place(path, key=True),
            )
