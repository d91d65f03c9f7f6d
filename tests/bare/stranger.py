"""Somebody else on the machine: a Python of their own with the tool installed from its wheel, and folders of theirs.
The interpreter of the tests may lie in a home that is closed to others, and so may the libraries of a server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pydantic

from aegis_plan.actions.tool_wheels import packed
from tests.servers import unavailable


def python(folder: Path, user: str | None) -> str:
    """An interpreter that the user can run, below `folder`; skips with the reason where there is none."""
    home = _interpreter(user)
    subprocess.run([home, "-m", "venv", "--copies", "--without-pip", str(folder / "python")], check=True)
    program = folder / "python" / "bin" / "python3"
    (site,) = (folder / "python" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(packed("aegis-plan", folder)) as wheel:
        wheel.extractall(site)
    # Libraries alone: what is installed there for editing is not followed.
    (site / "libraries.pth").write_text(f"{Path(pydantic.__file__).parent.parent}\n")
    said = _run(user, str(program), "-c", "import aegis_plan, psycopg; print(aegis_plan.__file__)")
    if said.returncode:
        unavailable(f"user {user} cannot read the libraries of this Python: {said.stderr.strip()[-200:]}")
    assert said.stdout.startswith(str(site)), said.stdout
    return str(program)


def _interpreter(user: str | None) -> str:
    here = sys.version_info[:2]
    base = getattr(sys, "_base_executable", sys.executable)
    for found in dict.fromkeys((base, f"/usr/bin/python{here[0]}.{here[1]}", "/usr/bin/python3")):
        try:
            said = _run(user, found, "-c", "import sys, venv; print(sys.version_info[:2])")
        except OSError:
            continue
        if said.stdout.strip() == str(tuple(here)):
            return found
    unavailable(
        f"user {user} can run no Python {here[0]}.{here[1]}: {base} lies in a closed home, and there is no other"
    )


def _run(user: str | None, *words: str) -> subprocess.CompletedProcess[str]:
    who: dict[str, Any] = {"user": user, "extra_groups": []} if user else {}
    return subprocess.run(words, cwd="/", capture_output=True, text=True, check=False, **who)


def reachable(source: Path, target: Path) -> Path:
    """A folder of files where everybody reads them, as links where that can be."""
    try:
        shutil.copytree(source, target, copy_function=os.link)
    except (OSError, shutil.Error):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    return target
