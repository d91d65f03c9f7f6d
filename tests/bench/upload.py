"""An upload to S3 beside `aws s3 cp`, to the same server, each in a process of its own: `python -m tests.bench.upload
[MEBIBYTES] [ROUNDS]`. It prints and never judges. The tool compares a whole-object checksum with the service's, the
other the checksum of each part."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from tests.bench.measure import Cost, measured
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.versitygw import run

ROOT = Path(__file__).parent.parent.parent
OURS = """
import hashlib, sys
from aegis_plan.repositories.retry import Retrying
from aegis_plan.repositories.s3 import S3Repository
from aegis_plan.documents.model import S3Repository as Declared
path, key, endpoint, access, secret, bucket = sys.argv[1:]
place = dict(kind="s3", bucket=bucket, endpoint=endpoint, region="us-east-1")
declared = Declared(**place, access_key=access, secret_key=secret)
repository = Retrying(S3Repository("far", declared, lambda text: text))
upload, digest = repository.open(key), hashlib.sha256()
with open(path, "rb") as file:
    while piece := file.read(512 << 10):
        digest.update(piece)
        upload.write(piece)
print(upload.commit(digest.hexdigest()).proof)
"""


def aws() -> Path:
    """The program, installed into a place of its own in the user's cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aegis-tests" / "awscli"
    program = home / "bin" / "aws"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", "awscli"], check=True)
    return program


def told(name: str, size: int, costs: list[Cost]) -> None:
    best = min(costs, key=lambda cost: cost.wall)
    print(
        f"{name:34} {best.wall:6.2f} s wall (best of {len(costs)}) {size / best.wall:6.0f} MiB/s {best.cpu:6.2f} s CPU "
        f"{max(cost.peak for cost in costs):6.0f} MiB at most",
        flush=True,
    )


def main(size: int = 2048, rounds: int = 3) -> None:
    program = aws()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, run(Path(scratch)) as server:
        file = Path(scratch) / "file"
        with file.open("wb") as out:
            for _ in range(size):
                out.write(os.urandom(1 << 20))
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(_ours(server, file))
            theirs.append(_theirs(program, server, file))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {size} MiB to VersityGW on loopback", flush=True)
    told("aegis, whole-object checksum", size, ours)
    told("aws s3 cp, its defaults", size, theirs)
    print(f"ratio of wall times {min(c.wall for c in ours) / min(c.wall for c in theirs):.2f}", flush=True)


def _ours(server: S3Server, file: Path) -> Cost:
    words = [str(file), f"b/{uuid.uuid4().hex}", server.endpoint, server.access, server.secret, BUCKET]
    return measured([sys.executable, "-c", OURS, *words], env=os.environ, cwd=ROOT)


def _theirs(program: Path, server: S3Server, file: Path) -> Cost:
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": server.access,
        "AWS_SECRET_ACCESS_KEY": server.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    words = [str(program), "s3", "cp", "--quiet", "--endpoint-url", server.endpoint, str(file),
             f"s3://{BUCKET}/b/{uuid.uuid4().hex}"]  # fmt: skip
    return measured(words, env=environment, cwd=ROOT)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
