"""What a planner knows of each kind of step, without the code that does it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActionSpec:
    """One kind of step."""

    kind: str
    title: str
    """How a person calls it."""
    symbol: str
    """`+` makes something, `~` changes in place, `-` removes, `-/+` replaces, `<=` reads."""
    reversible: bool
    """Whether `undo` takes it back."""
    destructive: bool = False
    """Whether it stops or replaces something that serves people."""
    repeatable: bool = True
    """Whether acting again after `failed` or a probe that says `needed` is right without asking a person."""
    scratch: bool = False
    """Whether what it makes serves its own run alone, and goes when that ends without it."""
    retries: int = 1
    """How often a failed attempt is tried again."""
    retry_delay: float = 5.0
    """Seconds before the first retry; doubles."""
    timeout: float = 24 * 3600.0
    """Seconds, unless the documents say otherwise."""
    protects: bool = False
    """Whether it makes or prepares new backups, which is of use only where they can be signed."""
    built: bool = True
    """Whether this version has code that does it. What is not built can be planned and looked at, never applied."""


_SPECS = (
    ActionSpec("backup", "back up", "+", reversible=False, retries=2, protects=True),
    ActionSpec("archive-log", "archive the log", "+", reversible=False, retries=2, protects=True),
    ActionSpec("archive-tail", "archive the log that the old server left", "+", reversible=False, retries=2),
    ActionSpec("start-log-stream", "stream the log", "+", reversible=True, retries=2, protects=True),
    ActionSpec("stop-log-stream", "end the log stream", "-", reversible=True, retries=2),
    ActionSpec("create-slot", "reserve the log on the server", "+", reversible=True, retries=2, protects=True),
    ActionSpec("publish", "publish the documents", "+", reversible=False, retries=2),
    ActionSpec("copy-set", "copy to another repository", "+", reversible=False, retries=2),
    ActionSpec("clean-up", "remove the local copy", "-", reversible=False),
    ActionSpec("escrow", "seal secrets to the recovery recipient", "+", reversible=False, retries=2),
    ActionSpec("lock", "lock what is kept", "~", reversible=False, retries=2),
    ActionSpec("expire", "mark what expired", "~", reversible=False, retries=2),
    ActionSpec("prune", "delete what expired", "-", reversible=False, retries=2),
    ActionSpec("prune-history", "delete old history of the schedule", "-", reversible=False),
    ActionSpec("hold", "hold backups, or let them go", "+", reversible=False, retries=2),
    ActionSpec("rewrap", "wrap data keys to today's recipients", "~", reversible=False, retries=2),
    ActionSpec("stage", "fetch, verify and unpack", "+", reversible=True, scratch=True, retries=2),
    ActionSpec("prove", "prove that everything needed is whole", "<=", reversible=True, scratch=True, retries=2),
    ActionSpec("clear-place", "remove the old data", "-", reversible=False, destructive=True, retries=1),
    ActionSpec("move-away", "move the old data away", "~", reversible=True, destructive=True, retries=1),
    ActionSpec("replay", "replay the log and prove the target", "~", reversible=True, scratch=True, retries=1),
    ActionSpec("stop-server", "stop the server", "~", reversible=True, destructive=True, retries=1),
    ActionSpec("swap", "put the restored data in place", "-/+", reversible=True, destructive=True, retries=0),
    ActionSpec("start-server", "start the server", "~", reversible=True, retries=1),
    ActionSpec("accept", "accept the restored data", "~", reversible=False, retries=1),
    ActionSpec("fence", "keep an old primary from taking writes", "~", reversible=True, destructive=True, built=False),
    ActionSpec(
        "promote",
        "make a replica the primary",
        "-/+",
        reversible=False,
        destructive=True,
        repeatable=False,
        retries=0,
        built=False,
    ),
    ActionSpec("prove-primary", "prove the new primary", "<=", reversible=True, retries=1, built=False),
    ActionSpec("repoint", "lead users and replicas to the new primary", "~", reversible=True, built=False),
    ActionSpec("verify", "verify what was backed up", "<=", reversible=True, retries=1),
    ActionSpec("load", "load restored data", "+", reversible=True, scratch=True, retries=1),
    ActionSpec("compare", "compare with what was backed up", "<=", reversible=True, scratch=True, retries=1),
    ActionSpec("health", "wait until healthy", "<=", reversible=True, retries=0, timeout=600.0),
    ActionSpec("command", "run a command", "~", reversible=True, repeatable=False, retries=0, timeout=3600.0),
    ActionSpec("manual", "a person acts", "~", reversible=True, repeatable=False, retries=0),
)

ACTIONS: dict[str, ActionSpec] = {spec.kind: spec for spec in _SPECS}
