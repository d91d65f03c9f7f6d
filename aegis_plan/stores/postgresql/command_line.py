"""What a server was given on its command line: no configuration file says it, and a restore has to give it again. It
only looks."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.connection import Connection, ask
from aegis_plan.stores.postgresql.model import Server

_LETTERS = {
    "p": "port",
    "k": "unix_socket_directories",
    "h": "listen_addresses",
    "i": "listen_addresses",
    "B": "shared_buffers",
    "N": "max_connections",
    "S": "work_mem",
    "F": "fsync",
    "l": "ssl",
}
_ALONE = {"i": "*", "F": "off", "l": "on"}
"""Letters without a value, and what they stand for."""
_OWN = ("config_file", "data_directory", "external_pid_file")
"""What is declared by other fields, given by pg_ctl itself, or only there for who starts it."""


def parse(words: Iterable[str]) -> dict[str, str]:
    """The settings among the arguments of `postgres`, by name."""
    found: dict[str, str] = {}
    left = iter(words)
    for word in left:
        if word.startswith("--") and "=" in word:
            name, _, value = word[2:].partition("=")
        elif word.startswith("-") and word[1:2] in _ALONE:
            name, value = _LETTERS[word[1]], _ALONE[word[1]]
        elif word.startswith("-") and word[1:2] in ("c", *_LETTERS):
            value = word[2:] or next(left, "")
            if word[1] == "c":
                name, _, value = value.partition("=")
            else:
                name = _LETTERS[word[1]]
        else:
            continue
        found[name.replace("-", "_").lower()] = value
    return found


def told(sql: Connection, where: str) -> dict[str, str]:
    """As the running server says it, as far as the role may see."""
    rows = ask(
        sql, "SELECT name, current_setting(name) FROM pg_settings WHERE source = 'command line' ORDER BY 1", where
    )
    return {str(name): str(value) for name, value in rows if name not in _OWN}


def written(directory: str | Path) -> dict[str, str]:
    """As the data directory holds it of the last start; nothing where it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        words = shlex.split((Path(directory) / "postmaster.opts").read_text("utf-8", "surrogateescape"))
        return {name: value for name, value in parse(words[1:]).items() if name not in _OWN}
    return {}


def fields(given: Mapping[str, str]) -> tuple[int | None, str | None, str]:
    """The `port`, `socket_directory` and `options` of a server that give the same again."""
    left = dict(given)
    port = left.pop("port", "")
    sockets = left.get("unix_socket_directories", "")
    one = sockets if sockets.startswith("/") and not set(sockets) & set(",'\"") else None
    if one is not None:
        del left["unix_socket_directories"]
    options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in left.items())
    return (int(port) if port.isdigit() else None), one, options


def lacking(server: Server, given: Mapping[str, str]) -> dict[str, str]:
    """What the server was given, and pg_ctl would not give it by what is declared.

    Raises AegisError `options-malformed`."""
    try:
        declared = parse(shlex.split(server.options))
    except ValueError as error:
        raise AegisError(
            "options-malformed",
            "the options of a server cannot be read",
            f"{server.options}: {error}",
            "close every quote in `server.options`",
        ) from None
    if server.port is not None:
        declared["port"] = str(server.port)
    if server.socket_directory is not None:
        declared["unix_socket_directories"] = server.socket_directory
    # Of other settings one value can be written in many ways; where it listens has to be the same.
    exact = ("port", "unix_socket_directories")
    return {
        name: value
        for name, value in given.items()
        if name not in declared or (name in exact and declared[name] != value)
    }


def with_given(server: Server, given: Mapping[str, str]) -> Server:
    """The server as it was started before; where its options cannot be read, as it is declared."""
    with contextlib.suppress(AegisError):
        port, sockets, options = fields(lacking(server, given))
        return server.model_copy(
            update={
                "port": port if port is not None else server.port,
                "socket_directory": sockets if sockets is not None else server.socket_directory,
                "options": f"{server.options} {options}".strip(),
            }
        )
    return server
