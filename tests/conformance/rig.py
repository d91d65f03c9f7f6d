"""A site of its own in a folder, and attempts whose effects are lines in files."""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aegis_plan.dispatch.contract import Attempt, Dispatcher, Outcome

DECLARED = {"aegis": "v1", "system": {"name": "aegis"}}


@dataclass
class Place:
    """One site with its file; `effects` is the file to which commands write."""

    base: Path
    site: str = "seoul"

    def __post_init__(self) -> None:
        self.base.mkdir(parents=True, exist_ok=True)
        key = self.base / "seoul.sign"
        key.touch(mode=0o600)
        key.write_text(base64.b64encode(os.urandom(32)).decode())
        self.file = self.base / f"{self.site}.yaml"
        self.file.write_text(f'aegis-site: v1\nsite: {self.site}\nfolder: here\nsigning_key: "${{file:seoul.sign}}"\n')
        self.effects = self.base / "effects"

    @property
    def folder(self) -> Path:
        return self.base / "here"

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "aegis_plan", "site", "work", "--file", str(self.file)]

    def attempt(self, step: str = "work", script: str = "", **fields: Any) -> Attempt:
        """By default a command that appends `begin <step>` to the effects, runs `script`, and appends `end <step>`."""
        text = f'echo "begin {step}" >> "{self.effects}"; {script or ":"}; echo "end {step}" >> "{self.effects}"'
        known: dict[str, Any] = {
            "run": "20261123T000000Z-abcdef", "step": step, "verb": "act", "number": 1, "epoch": 1, "site": self.site,
            "resource": "db/data", "action": "command", "params": {"run": ["/bin/sh", "-c", text]},
            "declared": DECLARED, "start_by": datetime.now(UTC) + timedelta(seconds=60), "timeout": 60.0,
        }  # fmt: skip
        return Attempt(**{**known, **fields})

    def wrote(self) -> list[str]:
        return self.effects.read_text().splitlines() if self.effects.exists() else []


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Waits until something holds."""
    limit = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.01)
    return found


def outcome(dispatcher: Dispatcher, key: str, seconds: float = 30.0) -> Outcome:
    """Waits for the outcome of a key."""
    limit = time.monotonic() + seconds
    while not isinstance(state := dispatcher.poll(key), Outcome):
        assert time.monotonic() < limit, f"no outcome: {state}"
        dispatcher.wait([key], 1.0)
    return state
