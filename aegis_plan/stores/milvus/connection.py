"""One connection to a Milvus server, or to a Milvus Lite file, by the messages of its own protocol.

The messages are used as they are, so that a column goes from the server into a backup and back without being taken
apart. What a server or its client library says is turned into errors of ours here and nowhere else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import Any

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.stores.milvus.model import Server

SECONDS = 120.0
"""How long one call may take."""
_TRIES = 8
_SECRETS = re.compile(r"(token|password)\S*", re.IGNORECASE)
NOT_FOUND = (100, 4)
"""Codes, new and old, of a collection that is not there."""
NO_INDEX = (700, 11, 25)
NO_DATABASE = (800,)
_RATE = (8, 49)


class RefusedError(AegisError):
    """A request that the server answered with an error; `number` is its code."""

    def __init__(self, number: int, method: str, where: str, reason: str) -> None:
        super().__init__(
            "milvus-refused",
            "Milvus refused a request",
            f"{where}: {method}: {reason[:400] or f'code {number}'}",
            "see what it says; its own log has more",
        )
        self.number = number
        self.reason = reason


def message(name: str, **fields: Any) -> Any:
    """A message of the protocol by its name."""
    for module in ("milvus_pb2", "common_pb2", "schema_pb2"):
        kind = getattr(import_module(f"pymilvus.grpc_gen.{module}"), name, None)
        if kind is not None:
            return kind(**fields)
    raise KeyError(name)


def pairs(values: dict[str, str]) -> list[Any]:
    """Key and value messages."""
    return [message("KeyValuePair", key=key, value=value) for key, value in values.items()]


class Connection:
    """Made by `connect`. `exclusive` means that nobody else can read or write as long as it is open."""

    def __init__(
        self,
        where: str,
        database: str,
        send: Callable[[str, Any, float], Any],
        close: Callable[[], None],
        check: Callable[[], None],
        *,
        exclusive: bool = False,
    ) -> None:
        self.where, self.database, self.exclusive = where, database, exclusive
        self.check = check
        self._send, self._close = send, close
        self.version = ""
        """As the server says it, such as `2.3.5` or `3.2.2`."""
        self.lite = False

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._close()

    def call(self, method: str, request: str, *, seconds: float = SECONDS, **fields: Any) -> Any:
        """Sends a request named without its ending and gives the answer. A server that asks to go slower is obeyed.

        Raises RefusedError, and UnavailableError `milvus-unreachable`."""
        import time

        built = message(request, **fields)
        if "db_name" in built.DESCRIPTOR.fields_by_name and not built.db_name:
            # Servers before 2.4 take the database from the header for some requests only.
            built.db_name = self.database
        for number in range(_TRIES):
            self.check()
            answer = self._send(method, built, seconds)
            status = answer.status if hasattr(answer, "status") else answer
            code = status.code or status.error_code
            if not code:
                return answer
            if code not in _RATE or number == _TRIES - 1:
                break
            time.sleep(min(5.0, 0.25 * 2**number))
        raise RefusedError(code, method, self.where, status.reason)

    def greet(self) -> None:
        """Learns what the server is."""
        said = self.call("GetVersion", "GetVersionRequest", seconds=10.0).version
        self.lite = said.startswith("milvus_lite")
        found = re.search(r"\d+(\.\d+)+", said)
        self.version = found.group() if found else said


def number(version: str) -> tuple[int, ...]:
    """A version to compare with."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def connect(
    context: Context,
    store: str,
    member: str,
    *,
    path: str | None = None,
    create: bool = False,
    seconds: float = SECONDS,
) -> Connection:
    """A connection to a member of a store, or, with `path`, to a Milvus Lite file of our own.

    Raises AegisError `milvus-lite-*`, `milvus-login-refused`, UnavailableError `milvus-unreachable`."""
    declared = context.declared.stores[store].members[member]
    server, where = Server.model_validate(declared.server), f"{store}/{member}"
    if path is not None or server.mode == "lite":
        from aegis_plan.stores.milvus import lite

        made = lite.open_file(
            where, path or context.secrets.text(declared.connection), server.database, context.check, create=create
        )
    else:
        token = context.secrets.text(server.token) if server.token else ""
        made = _remote(where, context.secrets.text(declared.connection), token, server.database, context.check)
    try:
        made.greet()
    except BaseException:
        made.close()
        raise
    return made


def _remote(where: str, address: str, token: str, database: str, check: Callable[[], None]) -> Connection:
    grpc: Any = import_module("grpc")

    stubs = import_module("pymilvus.grpc_gen.milvus_pb2_grpc")
    scheme, _, rest = address.partition("://")
    target = rest.split("/", 1)[0]
    if ":" not in target:
        target += ":443" if scheme == "https" else ":19530"
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    channel = (
        grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=options)
        if scheme == "https"
        else grpc.insecure_channel(target, options=options)
    )
    stub = stubs.MilvusServiceStub(channel)
    metadata = [("dbname", database)]
    if token:
        metadata.append(("authorization", base64.b64encode(token.encode()).decode()))

    def send(method: str, request: Any, seconds: float) -> Any:
        try:
            return getattr(stub, method)(request, timeout=seconds, metadata=metadata)
        except grpc.RpcError as error:
            raise _told(error, method, where, grpc) from None

    return Connection(where, database, send, channel.close, check)


def _told(error: Any, method: str, where: str, grpc: Any) -> AegisError:
    code, details = error.code(), _SECRETS.sub("***", str(error.details() or ""))[:300]
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED) or "auth check failure" in details:
        return AegisError(
            "milvus-login-refused",
            "Milvus refuses the login, or lets it not do this",
            f"{where}: {method}: {details}",
            "check `token` of the member, and what its user may do",
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return UnavailableError(
            "milvus-unreachable",
            "Milvus does not answer",
            f"{where}: {method}: {details}",
            "check its address, whether it runs, and the network between",
        )
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return RefusedError(8, method, where, details)
    return RefusedError(0 if code is None else -int(code.value[0]), method, where, details)
