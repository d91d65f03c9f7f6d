"""Every rule of lint, in the order in which the modules are read below. A new module has to be named here."""

from __future__ import annotations

from aegis_plan.documents.lint import (
    completeness,
    copies,
    drills,
    objectives,
    people,
    retention,
    schedules,
    steps,
    survival,
    ways,
)
from aegis_plan.documents.lint.rule import Rule

_MODULES = (objectives, steps, retention, completeness, survival, ways, copies, people, schedules, drills)

RULES: tuple[Rule, ...] = tuple(
    found for module in _MODULES for found in vars(module).values() if isinstance(found, Rule)
)
IDS: tuple[str, ...] = tuple(sorted((*(rule.id for rule in RULES), "acceptance-unmatched", "section-experimental")))
"""What a finding can be called; the last two are of no rule but of the look itself."""
