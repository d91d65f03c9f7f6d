"""What a command costs: wall time, CPU of its whole tree, peak memory. Its servers are counted apart."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE = 0.05
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Cost:
    """One command that ended well."""

    wall: float
    cpu: float
    """Seconds of user and system time of the command's processes, without PostgreSQL servers among them."""
    server: float
    """The same of the PostgreSQL servers: the one that was backed up, and those that the command started."""
    peak: float
    """The most that all processes of the command held at one time, in MiB; shared pages count once (PSS)."""
    output: str


def _stat(pid: int) -> tuple[str, int, float, float] | None:
    """Name, parent, seconds of its own and seconds of the children it waited for."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    words = rest.split()
    times = [int(word) / _TICKS for word in words[11:15]]
    return name, int(words[1]), times[0] + times[1], times[2] + times[3]


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))):
            found.setdefault(stat[1], []).append(int(entry))
    return found


def _below(root: int) -> list[int]:
    children, found, waiting = _children(), [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, ()))
    return found


def spent(root: int) -> float:
    """CPU seconds of a process, of what it started, and of what it waited for."""
    return sum(stat[2] + stat[3] for pid in _below(root) if (stat := _stat(pid)))


def _memory(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


class _Sampler(threading.Thread):
    """Looks at a tree until told to stop."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.peak, self.servers = root, 0.0, dict[int, float]()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(_SAMPLE):
            total = 0.0
            for pid in _below(self.root):
                stat = _stat(pid)
                if stat is None or pid == self.root:
                    continue
                if stat[0] == "postgres":
                    self.servers[pid] = stat[2]
                else:
                    total += _memory(pid)
            self.peak = max(self.peak, total)


def measured(command: Sequence[str], *, env: Mapping[str, str], cwd: Path, server: int | None = None) -> Cost:
    """Runs a command to its end. `server` is the process of a PostgreSQL server that it talks to.

    A process between us and the command takes in whatever the command leaves behind, so that nothing is missed."""
    before = spent(server) if server is not None else 0.0
    reading, writing = os.pipe()
    begun = time.monotonic()
    keeper = os.fork()
    if keeper == 0:
        os.close(reading)
        code = 1
        try:
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            sampler = _Sampler(os.getpid())
            sampler.start()
            # As on a user's machine: modules are compiled once and not at every start.
            known = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
            done = subprocess.run(
                command, env=known, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            wall = time.monotonic() - begun
            while True:
                try:
                    os.wait()
                except ChildProcessError:
                    break
            sampler.over.set()
            sampler.join()
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            with os.fdopen(writing, "w") as out:
                total, servers = used.ru_utime + used.ru_stime, sum(sampler.servers.values())
                out.write(f"{wall} {total - servers} {servers} {sampler.peak}\n{done.stdout}{done.stderr}")
            code = done.returncode
        except BaseException as error:  # noqa: BLE001 - shown, and this process ends
            print(repr(error), file=sys.stderr)
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])
    figures, _, output = said.partition("\n")
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {status}: {output[-2000:]}")
    wall, cpu, servers, peak = map(float, figures.split())
    after = spent(server) if server is not None else 0.0
    return Cost(wall, cpu, servers + after - before, peak, output)
