"""Asks a URL and looks at status and body. Sends nothing but a GET and follows no redirect."""

from __future__ import annotations

from collections.abc import Callable

from aegis_plan.documents.model import HttpCheck
from aegis_plan.probes.result import Result

BODY_BYTES = 1 << 20
"""Within so many bytes of the body the expected text is looked for."""


def check(declared: HttpCheck, text: Callable[[str], str]) -> Result:
    """`text` resolves secret references. Raises what it raises."""
    import ssl

    import httpx

    seconds = declared.timeout.total_seconds()
    try:
        # Settings of a proxy in somebody's environment would make the answer depend on who asks.
        with (
            httpx.Client(timeout=seconds, trust_env=False) as client,
            client.stream("GET", text(declared.url)) as answer,
        ):
            if answer.status_code != declared.status:
                return Result("fail", f"status {answer.status_code}, not {declared.status}")
            if declared.contains and declared.contains not in _body(answer):
                return Result("fail", "the body does not hold the expected text")
            return Result("pass")
    except httpx.ConnectTimeout:
        return Result("could_not_verify", f"no connection within {seconds:g} s")
    except httpx.TimeoutException:
        return Result("fail", f"connected, and no whole answer within {seconds:g} s")
    except httpx.ConnectError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ConnectionRefusedError):
                return Result("fail", "the connection was refused")
            if isinstance(cause, ssl.SSLError):
                return Result("fail", f"TLS: {cause.reason}")
            cause = cause.__cause__ or cause.__context__
        return Result("could_not_verify", "no connection: name or network")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        verdict = Result("could_not_verify", "the URL makes no sense")
        return Result("fail", type(error).__name__) if isinstance(error, httpx.RemoteProtocolError) else verdict


def _body(answer: object) -> str:
    import httpx

    assert isinstance(answer, httpx.Response)
    data = b""
    for part in answer.iter_bytes():
        data += part
        if len(data) >= BODY_BYTES:
            break
    return data[:BODY_BYTES].decode("utf-8", "replace")
