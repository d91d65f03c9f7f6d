"""What must hold after a kill and a resume, whatever was killed where."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import Counter
from pathlib import Path

from aegis_plan.catalog.record import SetRecord
from aegis_plan.repositories import records
from aegis_plan.repositories.local import LocalRepository
from tests.thread.world import World


def settled_once(world: World, run: Path) -> None:
    """No attempt to act was sent for a step after that step was settled, and none succeeded twice."""
    settled: set[str] = set()
    for entry in world.journal(run):
        if entry["kind"] == "sent" and f":{entry['step']}:act:" in json.dumps(entry["data"]):
            assert entry["step"] not in settled, f"{entry['step']} was acted on again after it was settled"
        if entry["kind"] == "settled":
            settled.add(entry["step"])
    database = sqlite3.connect(f"file:{world.site / 'ledger.sqlite'}?mode=ro", uri=True)
    rows = database.execute("SELECT step, outcome FROM claims WHERE run = ? AND verb = 'act'", (run.name,)).fetchall()
    database.close()
    done = Counter(step for step, outcome in rows if outcome and json.loads(outcome)["verdict"] == "done")
    assert not [step for step, count in done.items() if count > 1], done


def catalog_whole(world: World) -> list[SetRecord]:
    """Every set of the catalog is whole in each repository that has its record, and no run made two."""
    from aegis_plan.documents.load import load

    os.environ.setdefault("POLICY_DB", "")
    documents = load(world.plans).documents
    assert documents.sealing is not None
    places = {name: LocalRepository(name, world.repository(name)) for name in documents.repositories}
    shelf = records.shelf("aegis", "policy-db", documents.sealing.signers, places, cache=None)
    for holding in shelf.holdings:
        assert holding.reachable, holding.reason
        assert not holding.damage, holding.damage
    sets = [record for record in shelf.records if isinstance(record, SetRecord)]
    runs = Counter(record.run for record in sets)
    assert max(runs.values()) == 1, runs
    return sets


def processes(world: World) -> list[tuple[int, str, str]]:
    """Living processes that work below the world's folders: pid, name, what shows it."""
    base = str(world.folder.parent)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            where = os.readlink(entry / "cwd")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if where.startswith(base) or base in command:
            found.append((int(entry.name), command[:80], where))
    return found


def nothing_left_behind(world: World, seconds: float = 20.0) -> None:
    """One server, on its own data directory, and no process of a dead run."""
    limit = time.monotonic() + seconds
    while True:
        pid = world.server.pid
        extra = [
            found for found in processes(world)
            if not (found[2] == str(world.server.data) and (found[0] == pid or _parent(found[0]) == pid))
        ]  # fmt: skip
        if not extra:
            return
        if time.monotonic() > limit:
            raise AssertionError(f"still at work beside the server {pid}: {extra}")
        time.sleep(0.2)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1
