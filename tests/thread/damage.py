"""Damage done to repositories by hand, and what shows that a refusal touched nothing."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.thread.world import Ran, World, world

REPOSITORIES = ("seoul", "busan")


@dataclass
class Protected:
    """A protected world with two moments to go back to, and its repositories as they were whole."""

    world: World
    before: str
    """A moment before the second rows."""
    middle: str
    """A moment between the second and the third rows; log has to be replayed to get there."""
    rows: list[tuple[Any, ...]]
    """What was there at `middle`."""

    def store(self, repository: str) -> Path:
        """The folder of the store's one lineage."""
        (lineage,) = (self.world.repository(repository) / "v1/aegis/stores/policy-db").iterdir()
        return lineage

    def files(self, pattern: str, repository: str = "seoul") -> list[Path]:
        """Paths below the lineage, as they are in every repository."""
        root = self.store(repository)
        return sorted(path.relative_to(root) for path in root.glob(pattern) if path.is_file())

    def records(self, kind: str, repository: str = "seoul") -> list[dict[str, Any]]:
        """The signed objects of that kind, oldest first."""
        root = self.store(repository)
        found = [json.loads((root / path).read_text()) for path in self.files("records/*.json", repository)]
        return [one for one in found if one["record"]["kind"] == kind]

    @contextmanager
    def harmed(self) -> Iterator[None]:
        """Whatever happens to the repositories inside is put right again."""
        places = [self.world.repository(name) / "v1/aegis/stores" for name in REPOSITORIES]
        kept = self.world.folder / "kept"
        for number, place in enumerate(places):
            shutil.copytree(place, kept / str(number))
        try:
            yield
        finally:
            for number, place in enumerate(places):
                shutil.rmtree(place)
                shutil.copytree(kept / str(number), place)
            shutil.rmtree(kept)

    def flip(self, path: Path, *repositories: str) -> None:
        """Turns over one bit in the middle."""
        for name in repositories:
            place = self.store(name) / path
            data = bytearray(place.read_bytes())
            data[len(data) // 2] ^= 0x10
            self.write(place, bytes(data))

    def truncate(self, path: Path, *repositories: str) -> None:
        for name in repositories:
            place = self.store(name) / path
            self.write(place, place.read_bytes()[:-100])

    def remove(self, path: Path, *repositories: str) -> None:
        for name in repositories:
            (self.store(name) / path).unlink()

    @staticmethod
    def write(place: Path, data: bytes) -> None:
        place.unlink(missing_ok=True)
        place.write_bytes(data)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """The server serves the same rows by the same process in the same folder, and nothing new lies beside it."""
        server = self.world.server
        before = (server.pid, server.data.stat().st_ino, sorted(server.folder.iterdir()), self.world.rows())
        with server.connect() as open_before:
            yield
            assert open_before.execute("SELECT 1").fetchone() == (1,), "a connection was cut"
        after = (server.pid, server.data.stat().st_ino, sorted(server.folder.iterdir()), self.world.rows())
        assert after == before

    def refused(self, *words: str, env: dict[str, str] | None = None) -> Ran:
        """A recovery that has to be refused before anything is touched."""
        with self.untouched():
            ran = self.world.aegis("apply", "-y", "--scenario", "database-failure", *words, env=env)
        assert ran.code == 1, ran.text
        assert "Traceback" not in ran.text
        assert "internal-error" not in ran.text
        assert "action-crashed" not in ran.text
        return ran


def flat(ran: Ran) -> str:
    """What was printed, with lines joined."""
    return " ".join(ran.text.split())


def private(made: World) -> bytes:
    """The private signing key of the site."""
    text = (made.folder / "site/keys/seoul.sign").read_text().strip()
    return base64.b64decode(text.rpartition(":")[2])


@contextmanager
def protected() -> Iterator[Protected]:
    """100 rows in the set; 50 more, then 25 more in the log."""
    with world(REPOSITORIES) as made:
        made.ok("apply", "-y")
        before = _now(made)
        made.insert(50, "second")
        made.ok("backup", "policy-db", "--log", "-y")
        rows, middle = made.rows(), _now(made)
        made.insert(25, "third")
        made.ok("backup", "policy-db", "--log", "-y")
        yield Protected(made, before, middle, rows)


def _now(made: World) -> str:
    """The server's clock between two transactions."""
    ((moment,),) = made.sql("SELECT clock_timestamp()")
    assert isinstance(moment, datetime)
    return moment.astimezone(UTC).isoformat()
