"""Real servers for the tests: each starts on loopback and private folders, and is stopped by whoever started it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """Skips the test with the reason; where CI is set nothing may be missing, and it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"not available, and CI must have it: {reason}", pytrace=False)
    pytest.skip(reason)


def program(name: str, module: str = "") -> str:
    """Path of a program: from the PATH, beside this Python, or built from a Go module into the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aegis-tests" / "bin"
    places = os.pathsep.join([str(Path(sys.executable).parent), str(cache)])
    found = shutil.which(name) or shutil.which(name, path=places)
    if found:
        return found
    if not module:
        unavailable(f"{name} is not installed")
    if not shutil.which("go"):
        unavailable(f"{name} is not installed, and there is no Go to build it with")
    cache.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        ["go", "install", f"{module}@latest"],
        env={**os.environ, "GOBIN": str(cache)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    made = cache / module.rpartition("/")[2]
    if built.returncode != 0 or not made.exists():
        unavailable(f"{name} cannot be built: {built.stderr.strip()[-200:]}")
    if made.name != name:
        made.rename(cache / name)
    return str(cache / name)
