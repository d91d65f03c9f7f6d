"""Free ports on loopback, and waiting until somebody listens."""

from __future__ import annotations

import socket
import subprocess
import time


def free(count: int = 1, *, shadow: int = 0) -> list[int]:
    """Ports that nobody uses now. With `shadow` the port that much higher is free too."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            first = socket.socket()
            held.append(first)
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            if shadow:
                # Outgoing connections take their ports from the same range: stay below it.
                port = 10_000 + port % 12_000
                pair = []
                try:
                    for number in (port, port + shadow):
                        probe = socket.socket()
                        pair.append(probe)
                        probe.bind(("127.0.0.1", number))
                except OSError:
                    continue
                finally:
                    held.extend(pair)
            if port not in found:
                found.append(port)
    finally:
        for each in held:
            each.close()
    return found


def wait(port: int, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    """Returns once the port answers. Raises RuntimeError when the process ends first or nobody answers in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port} after {seconds} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks a process to end, and ends it."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
