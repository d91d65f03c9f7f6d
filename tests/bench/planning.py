"""A plan that brings 1,000 stores and their 1,000 services back: seconds, memory and steps.
`python -m tests.bench.planning [STORES]`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from random import Random

from aegis_plan.cli.planning import plan_from
from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot, StoreLook, store_facts
from aegis_plan.plan import planfile
from aegis_plan.plan.plan import Intent
from aegis_plan.repositories.collecting import uncollected
from tests.plan.world import a_range, a_set, documents, member, shelf, snapshot


def world(count: int, services: int = 0, woven: int = 0) -> tuple[Documents, Snapshot]:
    """Each store was lost with its server, and has a full with two ranges of log in two repositories. Each service (as
    many as stores, unless told otherwise) uses one store and `woven` of the services before it."""
    dice, services = Random(1), services or count
    one = documents().model_dump(mode="json", by_alias=True, exclude_unset=True)
    store, service = one["stores"]["policy-db"], one["services"]["auth"]
    names = [f"db-{number:04d}" for number in range(count)]
    one["stores"] = dict.fromkeys(names, store)
    one["services"] = {
        f"service-{number:04d}": {
            **service,
            "tier": 1 + 2 * number // services,
            "uses": [
                names[number % count],
                *(f"service-{dice.randrange(number):04d}" for _ in range(woven if number else 0)),
            ],
        }
        for number in range(services)
    }
    one["scenarios"] = {"all-lost": {"disruption": "store", "affects": {"stores": names}}}
    looks = []
    for name in names:
        records = (
            a_set("F1", 0, 0x1000, 0x2000, store=name),
            a_range("l1", 20, 0x1000, 0x3000, store=name),
            a_range("l2", 50, 0x3000, 0x5000, store=name),
        )
        held = shelf(*records).model_copy(update={"store": name})
        looks.append(StoreLook(store=name, members=(member("stopped"),), shelf=held))
    seen = snapshot(shelf())
    facts = {key: value for look in looks for key, value in dict(store_facts(look)).items()}
    return Documents.model_validate(one), seen.model_copy(
        update={"stores": {look.store: look for look in looks}, "facts": type(seen.facts)(facts)}
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    made, seen = world(count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    begun, used = time.perf_counter(), time.process_time()
    plan = plan_from(made, "d", Intent(kind="recover", scenario="all-lost", to="latest"), seen, "bench")
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    begun, used = time.perf_counter(), time.process_time()
    with uncollected():
        pieces = planfile.pieces(plan)[1]
    wrote, wrote_cpu = time.perf_counter() - begun, time.process_time() - used
    print(
        json.dumps(
            {
                "case": "planning",
                "stores": count,
                "services": count,
                "steps": len(plan.steps),
                "blocked": plan.blocked,
                "wall_s": round(wall, 2),
                "cpu_s": round(cpu, 2),
                "write_s": round(wrote, 2),
                "write_cpu_s": round(wrote_cpu, 2),
                "file_mib": sum(map(len, pieces)) >> 20,
                "rss_before_mib": before,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
                "load": round(os.getloadavg()[0], 1),
            }
        )
    )


if __name__ == "__main__":
    main()
