"""Opens a TCP connection and closes it again. Sends nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable

from aegis_plan.documents.model import TcpCheck
from aegis_plan.probes.result import Result


def check(declared: TcpCheck, text: Callable[[str], str]) -> Result:
    """`text` resolves secret references. Raises what it raises."""
    host, _, port = text(declared.address).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        return Result("could_not_verify", "the address is not host:port")
    seconds = declared.timeout.total_seconds()
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
            return Result("pass")
    except ConnectionRefusedError:
        return Result("fail", "the connection was refused")
    except TimeoutError:
        return Result("could_not_verify", f"no connection within {seconds:g} s")
    except (OSError, UnicodeError) as error:
        return Result("could_not_verify", getattr(error, "strerror", None) or "the name cannot be resolved")
