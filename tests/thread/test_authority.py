"""What the state authority holds of every run, and what happens while it is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyrage

from tests.thread.world import World, world


@contextmanager
def away(made: World, name: str) -> Iterator[None]:
    """A repository's disk that is not there."""
    place = made.repository(name)
    moved = place.rename(place.with_name(f"{name} away"))
    try:
        yield
    finally:
        assert not place.exists(), "a repository that was away was made anew"
        moved.rename(place)


def identity(made: World) -> pyrage.x25519.Identity:
    (path,) = (made.folder / "site").rglob("seoul.age")
    words = [line for line in path.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-")]
    return pyrage.x25519.Identity.from_str(words[0])


def test_journal_and_plan_lie_sealed_in_the_authority_and_its_mirrors() -> None:
    with world() as made:
        path = made.plans / "aegis.yaml"
        path.write_text(path.read_text().replace("{authority: seoul}", "{authority: seoul, mirrors: [busan]}"))
        made.ok("plan", "--out", "a.plan")
        made.ok("apply", "a.plan", "-y")
        (run,) = made.runs()
        lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
        key = identity(made)
        for name in ("seoul", "busan"):
            (folder,) = made.repository(name).rglob(f"runs/{run.name}")
            files = sorted(folder.iterdir())
            assert files[-1].name == "plan"
            for file in files:
                for word in (b"policy-db", b"seoul-1", b"policies", b"backup", str(made.server.data).encode()):
                    assert word not in file.read_bytes(), f"{word!r} can be read in {file}"
            # The last line of each is the signature of those before it.
            opened = [pyrage.decrypt(file.read_bytes(), [key]).rpartition(b"\n")[0] for file in files]
            mirrored = b"\n".join(part.rstrip(b"\n") for part in opened[:-1])
            assert mirrored.splitlines() == [line.rstrip(b"\n") for line in lines]
            assert json.loads(opened[-1]) == json.loads((made.folder / "a.plan").read_bytes())
            again = made.folder / "again.plan"
            again.write_bytes(opened[-1])
            assert "policy-db" in made.ok("show", str(again)).text
        used = [path.read_bytes() for path in made.repository("seoul").rglob("state/plans/*.json")]
        assert len(used) == 1
        assert b"policy-db" not in used[0]


def test_without_the_authority_apply_refuses_with_the_way_on(protected: World) -> None:
    made = protected
    made.insert(10, "more")
    runs = made.runs()
    before = snapshot(made.server.data / "pg_replslot")
    with away(made, "seoul"):
        for words in (("backup", "policy-db", "-y"), ("restore", "policy-db", "-y")):
            refused = made.aegis(*words)
            assert refused.code == 1, refused.text
            assert "repository-unreachable" in refused.text
            assert "--break-glass" in refused.text, refused.text
        assert made.server.sql("SELECT 1") == [(1,)]
        assert not list(made.server.data.parent.glob("*aegis-old*"))
    assert snapshot(made.server.data / "pg_replslot") == before
    for run in set(made.runs()) - set(runs):
        assert not [entry for entry in made.journal(run) if entry["kind"] == "sent"], "something was done"


def snapshot(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_break_glass_goes_on_and_says_so(protected: World) -> None:
    made = protected
    made.insert(10, "more")
    made.ok("backup", "policy-db", "--log", "-y")
    rows = made.rows()
    made.destroy()
    with away(made, "seoul"):
        ran = made.aegis("apply", "-y", "--scenario", "database-failure", "--break-glass", "the site burns")
        assert made.rows() == rows, ran.text
        # What the authority would have kept from happening is told, not passed over.
        assert ran.code in (0, 3), ran.text
        assert "the site burns" in ran.text, ran.text
        assert "break" in ran.text.lower()
        assert "seoul" in ran.text
        (run,) = [run for run in made.runs() if made.journal(run)[0]["data"].get("break_glass")]
        assert made.journal(run)[0]["data"]["break_glass"] == "the site burns"
        assert made.aegis("plan").code == 0
    made.insert(5, "afterwards")
    made.ok("apply", "-y")
    made.ok("backup", "policy-db", "-y")
