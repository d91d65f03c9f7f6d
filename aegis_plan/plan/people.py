"""Roles of the team as a plan names them. Pure."""

from __future__ import annotations

from aegis_plan.documents.model import Documents


def called(documents: Documents, role: str) -> str:
    """`database-lead (Ha-eun Choi, Do-yun Jung)`; the bare role where nobody holds it."""
    people = documents.team[role].people if role in documents.team else ()
    return f"{role} ({', '.join(people)})" if people else role
