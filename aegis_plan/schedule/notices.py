"""Tells people through their channels that a due run failed or that one works again, and a dead-man address that one
ended well. Nothing here changes how a run ended, and no message holds a secret or a name of data."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Literal

from aegis_plan.catalog.schedule_record import Notice
from aegis_plan.documents.model import Documents
from aegis_plan.errors import AegisError

LIMIT = 20.0
"""Seconds that a channel gets; so long does a run wait for all of them together."""
ALIVE_LIMIT = 10.0
EVENT = "backup-failed"


def listeners(documents: Documents) -> dict[str, str]:
    """The channels that are told of failures and of their end: name to the reference of the address."""
    return {
        name: channel.url
        for name, channel in documents.channels.items()
        if EVENT in channel.tells or name in documents.schedule.notify
    }


def tell(
    channels: Mapping[str, str],
    resolve: Callable[[str], str],
    about: Literal["failure", "reminder", "recovery"],
    title: str,
    body: str,
    limit: float = LIMIT,
) -> tuple[Notice, ...]:
    """Tells every channel at once and says for each whether it took the message. `resolve` turns references into
    addresses; neither is in what is returned. Never raises."""
    found: dict[str, Notice] = {}

    def one(name: str, reference: str) -> None:
        found[name] = Notice(to=name, about=about, ok=False, why="it took too long")
        try:
            why = _send(resolve(reference), title, body, about)
        except AegisError as error:
            why = f"{error.summary} ({error.code})"
        except Exception as error:  # noqa: BLE001 - a plug-in of a channel may raise anything, and must change nothing
            why = f"the channel failed ({type(error).__name__})"
        found[name] = Notice(to=name, about=about, ok=not why, why=why)

    threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in channels.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(limit)
    late = Notice(to="", about=about, ok=False, why=f"no answer within {limit:.0f} s")
    return tuple(
        found[name] if not thread.is_alive() else late.model_copy(update={"to": name})
        for name, thread in zip(channels, threads, strict=True)
    )


def _send(address: str, title: str, body: str, about: str) -> str:
    """Why it did not go out, or nothing. The library's own log may hold addresses, and is shut."""
    logging.getLogger("apprise").addHandler(logging.NullHandler())
    logging.getLogger("apprise").propagate = False
    import apprise

    post = apprise.Apprise()
    if not post.add(address):
        return "its address is none that apprise knows"
    kind = apprise.NotifyType.SUCCESS if about == "recovery" else apprise.NotifyType.FAILURE
    return "" if post.notify(body=body, title=title, notify_type=kind) else "the channel did not take it"


def alive(address: str, resolve: Callable[[str], str], limit: float = ALIVE_LIMIT) -> Notice:
    """Asks for the dead-man address. Never raises."""
    import httpx

    try:
        answer = httpx.get(resolve(address), timeout=limit, follow_redirects=True)
        why = "" if answer.status_code < 400 else f"it answered {answer.status_code}"
    except AegisError as error:
        why = f"{error.summary} ({error.code})"
    except Exception as error:  # noqa: BLE001 - an address that makes no sense raises whatever it likes
        why = f"it cannot be asked for ({type(error).__name__})"
    return Notice(to="dead-man", about="alive", ok=not why, why=why)
