"""Looks at a site, a member of a store, or a service, changing nothing and writing nothing."""

from __future__ import annotations

import socket
from typing import Any

from aegis_plan.actions import standing
from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError


class _Look:
    def probe(self, context: Context) -> Probed:
        return Probed("needed")

    def undo(self, context: Context) -> Done:
        return Done()


class LookSite(_Look):
    """Whether the site answers, as which host, what its daemon does, and the public halves of its keys."""

    kind = "look-site"

    def act(self, context: Context) -> Done:
        return Done({"host": socket.gethostname(), "daemon": standing.daemon(context.folder), **_keys(context)})


class LookStore(_Look):
    """One member of a store, through its driver."""

    kind = "look-store"

    def act(self, context: Context) -> Done:
        from aegis_plan.stores.drivers import driver

        name, member = str(context.attempt.params["store"]), str(context.attempt.params["member"])
        store = context.declared.stores.get(name)
        if store is None or member not in store.members:
            raise _undeclared(f"stores/{name}/members/{member}")
        seen = driver(store.engine).look(context, name, member)
        return Done(
            {"state": seen.state, "reason": seen.reason, "lineage": seen.lineage, "details": _plain(seen.details)}
        )


class LookService(_Look):
    """One service, by its health checks."""

    kind = "look-service"

    def act(self, context: Context) -> Done:
        from aegis_plan.actions.health import check

        name = str(context.attempt.params["service"])
        service = context.declared.services.get(name)
        if service is None:
            raise _undeclared(f"services/{name}")
        if service.health is None:
            return Done({"verdict": "not_configured", "reason": ""})
        result = check(context, service.health)
        return Done({"verdict": result.verdict, "reason": result.reason})


def _keys(context: Context) -> dict[str, Any]:
    from aegis_plan.sealing.keys import public_identity, public_signer

    try:
        keys = context.keys
        return {
            "signer": public_signer(keys.signing) if keys.signing else "",
            "recipients": [public_identity(text) for text in keys.identities],
        }
    except AegisError as error:
        return {"keys_trouble": f"{error.summary}: {error.detail}"}


def _plain(value: Any) -> Any:
    """Times as text, so that what was seen can travel."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def _undeclared(what: str) -> AegisError:
    return AegisError(
        "look-undeclared",
        "a look was asked for something that was not sent along",
        what,
        "see that the same version runs here and where the look was asked for",
    )
