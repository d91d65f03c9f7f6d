"""The documents of the demo: a small part of Aegis, the system of the source plan."""

from __future__ import annotations

import json
import re
from pathlib import Path

from aegis_plan.cli.demo.server import Server

SITE = "seoul"
STORE = "policy-db"
SCENARIO = "database-failure"

_SYSTEM = """\
# What Aegis is: what may be lost, how long it may be down.
aegis: v1

system:
  name: aegis
  timezone: Asia/Seoul
  objectives: {rto: 4h, rpo: 15m, mttr: 2h, availability: 99.9%}

state: {authority: seoul, mirrors: [busan]}

tiers:
  1: {name: critical, rto: 1h}
  2: {name: important, rto: 2h}

sites:
  seoul: {role: primary, reach: local, file: ../site/seoul.yaml}

services:
  user-authentication:
    tier: 1
    uses: [policy-db]
    health:
      command: {run: [PSQL, -h, SOCKETS, -U, aegis, -d, postgres, -qtAc, SELECT 1 FROM policy LIMIT 1]}
      within: 30s
  policy-search:
    tier: 2
    uses: [policy-db]
    health:
      command: {run: [PSQL, -h, SOCKETS, -U, aegis, -d, postgres, -qtAc, SELECT count(*) FROM policy]}
      within: 30s
"""
_STORES = """\
# The database: where it is, how it is backed up, and where the backups go.
aegis: v1

stores:
  policy-db:
    engine: postgresql
    members:
      seoul-1:
        site: seoul
        connection: CONNECTION
        server:
          data_directory: DATA
          binaries: BINARIES
          log_file: LOG
          control: pg_ctlRUN_AS
          socket_directory: SOCKETS
          port: 5432
    backup:
      repositories: [seoul, busan]
      full:        {schedule: "0 2 * * 0",    retain: 4 weeks}
      incremental: {schedule: "0 2 * * 1-6",  retain: 1 week}
      log:         {schedule: "*/5 * * * *",  retain: 3 days}

repositories:
  seoul: {kind: local, site: seoul, path: ../repositories/seoul}
  busan: {kind: local, site: seoul, path: ../repositories/busan}     # in earnest: a bucket in another city
"""
_SCENARIOS = """\
# What may happen, and what is expected then.
aegis: v1

scenarios:
  database-failure:
    disruption: store
    affects: {stores: [policy-db]}
    strategy: restore
    expect: {rto: 1h, rpo: 15m}
"""


def write(folder: Path, server: Server) -> None:
    """Writes `plans/` for the server, and makes the folder of the repositories."""
    texts = {"system.yaml": _SYSTEM, "stores.yaml": _STORES, "scenarios.yaml": _SCENARIOS}
    values = {
        "CONNECTION": server.connection,
        "DATA": str(server.data),
        "BINARIES": str(server.binaries),
        "PSQL": str(server.binaries / "psql"),
        "LOG": str(server.log),
        "SOCKETS": str(server.sockets),
    }
    plans = folder / "plans"
    plans.mkdir(exist_ok=True)
    (folder / "repositories").mkdir(exist_ok=True)
    for name, text in texts.items():
        text = text.replace("RUN_AS", f"\n          run_as: {server.user}" if server.user else "")
        pattern = r"\b(" + "|".join(values) + r")\b"
        text = re.sub(pattern, lambda word: json.dumps(values[word.group()], ensure_ascii=False), text)
        (plans / name).write_text(text, encoding="utf-8")
