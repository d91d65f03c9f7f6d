"""The same graph planned by Terraform or OpenTofu and by this program, process against process, each of which begins
with nothing; and what planning alone takes in ours: `python -m tests.bench.beside [STEPS]`. It prints and never judges;
without either tool it says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aegis_plan.cli.planning import plan_from
from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.plan import Intent, Plan
from tests.bench.measure import measured
from tests.bench.planning import world

INTENT = Intent(kind="recover", scenario="all-lost", to="latest")
_STORES, _A_STORE, _WOVEN = 20, 9, 5
"""Stores, and steps that bring one back; the other steps start services and wait for their health. A start needs the
health of five services and a store, a health check its start: three edges a step, as recoveries have."""


def planned(folder: Path) -> None:
    """What `aegis plan --out` does after its look at the world: reads documents and snapshot, plans, writes."""
    from aegis_plan.plan.planfile import pieces
    from aegis_plan.repositories.collecting import uncollected

    made = Documents.model_validate_json((folder / "documents.json").read_bytes())
    seen = Snapshot.model_validate_json((folder / "snapshot.json").read_bytes())
    begun, used = time.perf_counter(), time.process_time()
    plan = plan_from(made, "d", INTENT, seen, "bench")
    alone = {"wall": time.perf_counter() - begun, "cpu": time.process_time() - used}
    with (folder / "out.plan").open("wb") as file, uncollected():
        file.writelines(pieces(plan)[1])
    print(json.dumps(alone))


def configuration(plan: Plan) -> str:
    """The steps as resources that are built in, so that nothing is downloaded, with the same needs."""
    names = {step.id: step.id.replace(".", "_") for step in plan.steps}
    return "\n".join(
        f'resource "terraform_data" "{names[step.id]}" {{\n  input = {json.dumps(step.title)}\n'
        f"  depends_on = [{', '.join(f'terraform_data.{names[need]}' for need in step.needs)}]\n}}"
        for step in plan.steps
    )


def main() -> None:
    if sys.argv[1:2] == ["--planned"]:
        planned(Path(sys.argv[2]))
        return
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    tool = shutil.which("tofu") or shutil.which("terraform")
    made, seen = world(_STORES, (steps - _STORES * _A_STORE) // 2, woven=_WOVEN)
    plan = plan_from(made, "d", INTENT, seen, "bench")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "documents.json").write_text(made.model_dump_json(by_alias=True, exclude_unset=True))
        (folder / "snapshot.json").write_text(seen.model_dump_json())
        command = [sys.executable, "-m", "tests.bench.beside", "--planned", name]
        # The first may find modules that were never compiled.
        ours = [measured(command, env=os.environ, cwd=Path()) for _ in range(4)]
        best = min(cost.wall for cost in ours)
        alone = [json.loads(cost.output) for cost in ours]
        planning = min(one["wall"] for one in alone)
        row = {
            "case": "beside",
            "steps": len(plan.steps),
            "edges": sum(len(step.needs) for step in plan.steps),
            "aegis_s": round(best, 2),
            "aegis_cpu_s": round(min(cost.cpu for cost in ours), 2),
            "aegis_mib": round(ours[0].peak),
            "planning_s": round(planning, 2),
            "planning_cpu_s": round(min(one["cpu"] for one in alone), 2),
        }
        if tool is None:
            row["peer"] = "neither tofu nor terraform is on the PATH"
        else:
            (folder / "main.tf").write_text(configuration(plan))
            env = {key: value for key, value in os.environ.items() if key != "TF_CLI_CONFIG_FILE"}
            env |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
            subprocess.run([tool, "init", "-input=false"], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
            words = [tool, "plan", "-input=false", "-no-color", "-lock=false", "-out=out.tfplan"]
            theirs = measured(words, env=env, cwd=folder)
            row |= {
                "peer": Path(tool).name,
                "peer_s": round(theirs.wall, 2),
                "peer_cpu_s": round(theirs.cpu, 2),
                "peer_mib": round(theirs.peak),
                "times_faster": round(theirs.wall / best, 1),
                "planning_times_faster": round(theirs.wall / planning, 1),
            }
        row["load"] = round(os.getloadavg()[0], 1)
        print(json.dumps(row))


if __name__ == "__main__":
    main()
