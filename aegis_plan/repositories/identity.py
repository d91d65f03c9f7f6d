"""Whom a repository is asked as: one identity to write, and where documents name them, others to read and to remove. A
host has those whose secrets it can resolve. It asks no service."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from aegis_plan.errors import AegisError

Purpose = Literal["write", "read", "prune"]
T = TypeVar("T")


class Identities(Generic[T]):
    """The clients of one repository, each made at its first use."""

    def __init__(self, name: str, declared: Any, connect: Callable[[Any], T]) -> None:
        """`declared` has the identity to write and may have `read` and `prune`; `connect` makes a client of any of the
        three and resolves its secrets."""
        self._name, self._declared, self._connect = name, declared, connect
        self._clients: dict[str, T] = {}
        self._lock = threading.RLock()

    @property
    def apart(self) -> bool:
        """Whether removing has an identity of its own."""
        return self._declared.prune is not None

    def client(self, purpose: Purpose) -> T:
        """Raises what resolving its secrets raises, and `repository-denied` where this host may not remove."""
        with self._lock:
            found = self._clients.get(purpose)
            if found is None:
                found = self._clients[purpose] = self._make(purpose)
            return found

    def _make(self, purpose: Purpose) -> T:
        own = getattr(self._declared, purpose, None) if purpose != "write" else None
        if own is None:
            return self._connect(self._declared) if purpose == "write" else self.client("write")
        try:
            return self._connect(own)
        except AegisError as error:
            if purpose == "read":
                # A host that only writes backs up with the identity that it has.
                return self.client("write")
            raise AegisError(
                "repository-denied",
                "a repository does not allow this",
                f"{self._name}: only the identity `prune` removes there, and this host has not got it: {error}",
                "run it at the site that has the secrets of `prune`",
            ) from None

    def close(self, end: Callable[[T], None]) -> None:
        """Ends every client once."""
        with self._lock:
            for client in {id(one): one for one in self._clients.values()}.values():
                end(client)
            self._clients.clear()
