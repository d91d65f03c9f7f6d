"""The documents of a small system that lint has nothing against, and what lint finds once a case adds to them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from aegis_plan.documents.lint.look import findings
from aegis_plan.documents.load import load
from aegis_plan.errors import Finding

NOW = datetime(2026, 11, 24, tzinfo=UTC)
BASE = """\
aegis: v1
system: {name: demo}
sites: {seoul: {role: primary}, busan: {role: standby, reach: {ssh: aegis@busan.example}}}
repositories:
  near: {kind: local, site: seoul, path: /var/lib/aegis}
  far: {kind: s3, bucket: far, site: busan}
state: {authority: far}
sealing: {recovery_recipient: age1fsg6h86qrn530c9pyzepra0z5h86gj3cywaq4s2f0zat5vksmcjqvh4cpv}
"""


def found(text: str, folder: Path) -> list[Finding]:
    """Everything that lint finds in the base and the text, in November 2026."""
    (folder / "base.yaml").write_text(BASE, encoding="utf-8")
    (folder / "case.yaml").write_text(text, encoding="utf-8")
    loaded = load(folder)
    return list(findings(loaded.documents, loaded.root, NOW))


def told(finding: Finding) -> str:
    """`file:line:column subject | detail`."""
    assert finding.position is not None
    return f"{str(finding.position).rpartition('/')[2]} {finding.subject} | {finding.detail}"
