"""A dispatcher whose outcomes are written beforehand, over a ledger file that survives the death of the executor. For
tests whose subject is the executor; everything else about a run (journal, leases, inbox) is real.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aegis_plan.clock import SystemClock
from aegis_plan.dispatch.contract import Attempt, Outcome, Progress, Trouble
from aegis_plan.documents.model import Documents, System
from aegis_plan.errors import UnavailableError
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.step import Step
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.run.approval import Approver, nobody
from aegis_plan.run.events import Event
from aegis_plan.run.executor import Executor

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def step(name: str, *needs: str, **more: Any) -> Step:
    """A reversible, repeatable step that writes something."""
    fields: dict[str, Any] = {
        "id": name, "action": "command", "title": name, "reason": "a test asks for it", "site": "seoul", "tier": 1,
        "phase": "data", "needs": needs, "symbol": "+", "reversible": True, "retry_delay": 0.01,
    }  # fmt: skip
    return Step(**(fields | more))


def plan(*steps: Step, **more: Any) -> Plan:
    fields: dict[str, Any] = {
        "tool": "test", "system": "aegis", "intent": Intent(kind="protect"),
        "documents": Documents(system=System(name="aegis")), "documents_digest": "d" * 64,
        "snapshot": Snapshot(taken_at=NOW), "steps": steps, "made_at": NOW,
    }  # fmt: skip
    return Plan(**(fields | more))


def outcome(verdict: str = "done", **more: Any) -> dict[str, Any]:
    return {"verdict": verdict, **more}


class Scripted:
    """`script` maps `step:verb` to the outcomes of its attempts in turn; what it does not name is done, and a probe
    answers `satisfied` exactly when the effect is there."""

    def __init__(self, folder: Path, script: dict[str, list[dict[str, Any]]] | None = None) -> None:
        self.path = folder / "ledger.jsonl"
        self.script = script or {}
        self.asked_to_stop: list[str] = []
        self.hanging: set[str] = set()
        self.attempts: dict[str, Attempt] = {}
        self.down: set[str] = set()
        self.id = "ledger-1"
        self.path.touch()

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def effects(self, verb: str = "act") -> list[str]:
        """Steps whose effect was made (or taken back), in order, with repetitions."""
        return [row["step"] for row in self.rows() if row["verb"] == verb and row["effect"]]

    def sent(self) -> list[str]:
        return [f"{row['step']}:{row['verb']}" for row in self.rows()]

    def ledger(self, site: str) -> str:
        if site in self.down:
            raise UnavailableError("site-unreachable", "a site cannot be reached", site)
        return self.id

    def submit(self, attempt: Attempt) -> None:
        self.attempts[attempt.key] = attempt
        rows = self.rows() if attempt.number > 1 or attempt.verb == "probe" else []
        turn = sum(1 for row in rows if row["step"] == attempt.step and row["verb"] == attempt.verb)
        told = self.script.get(f"{attempt.step}:{attempt.verb}", [])
        found = dict(told[turn]) if turn < len(told) else {"verdict": "done"}
        effect = found.pop("effect", found["verdict"] == "done")
        if attempt.verb == "probe" and "answer" not in found and found["verdict"] == "done":
            there = {row["step"] for row in rows if row["verb"] == "act" and row["effect"]}
            found["answer"] = "satisfied" if attempt.step in there else "needed"
        if found.pop("hang", False):
            self.hanging.add(attempt.key)
        row = {"key": attempt.key, "step": attempt.step, "verb": attempt.verb, "effect": effect, "outcome": found}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def poll(self, key: str) -> Progress | Outcome:
        if key in self.hanging:
            return Progress(key=key, phase="working", done=1)
        for row in reversed(self.rows()):
            if row["key"] == key:
                return Outcome(key=key, ledger=self.id, **row["outcome"])
        return Outcome(key=key, verdict="not_started", ledger=self.id)

    def attach(self, attempt: Attempt) -> None:
        self.attempts[attempt.key] = attempt

    def wait(self, keys: Iterable[str], seconds: float) -> None:
        time.sleep(min(seconds, 0.01))

    def cancel(self, key: str, reason: str) -> None:
        self.asked_to_stop.append(key)
        if key in self.hanging:
            self.hanging.discard(key)
            rows = self.rows()
            for row in rows:
                if row["key"] == key:
                    row["outcome"], row["effect"] = {"verdict": "cancelled"}, False
            self.path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def close(self) -> None:
        """Nothing was started."""


class Room:
    """A folder with a repository for the state, and the runs in it."""

    def __init__(self, folder: Path, script: dict[str, list[dict[str, Any]]] | None = None) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True, parents=True)
        self.authority = LocalRepository("authority", folder / "state")
        self.dispatcher = Scripted(folder, script)
        self.events: list[Event] = []

    def executor(self, made: Plan, run: str = "run-1", approve: Approver = nobody, **more: Any) -> Executor:
        return Executor(
            made,
            more.pop("digest", "a" * 64),
            run,
            self.folder / "runs" / run,
            self.dispatcher,
            self.authority,
            SystemClock(),
            approve,
            self.events.append,
            who="tester",
            **more,
        )

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


def trouble(code: str = "broken") -> dict[str, Any]:
    return Trouble(code=code, summary="it broke").model_dump()


def child_environment(**more: str) -> dict[str, str]:
    return {**os.environ, **more}
