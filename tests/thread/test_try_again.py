"""A recovery that fails before anything was touched leaves nothing that stands in the way of the next one."""

from __future__ import annotations

from pathlib import Path

from tests.thread.world import World


def test_a_replay_that_fails_leaves_the_next_recovery_free(protected: World) -> None:
    """The programs at the place start no server on staged data, as where a library or memory is missing."""
    made = protected
    made.insert(10, "in the log")
    made.ok("backup", "policy-db", "--log", "-y")
    rows = made.rows()
    real = Path(made.server.binaries)
    programs = made.folder.parent / "programs"
    programs.mkdir()
    for path in real.iterdir():
        (programs / path.name).symlink_to(path)
    (programs / "postgres").unlink()
    (programs / "postgres").write_text(
        f'#!/bin/sh\ncase "$*" in *external_pid_file*) exit 3;; esac\nexec "{real}/postgres" "$@"\n'
    )
    (programs / "postgres").chmod(0o755)
    documents = made.plans / "aegis.yaml"
    documents.write_text(documents.read_text().replace(f'binaries: "{real}"', f'binaries: "{programs}"'))
    made.destroy()
    before = sorted(made.server.folder.iterdir())
    failed = made.aegis("apply", "-y", "--scenario", "database-failure")
    assert failed.code == 1, failed.text
    assert "replay-failed" in failed.text
    assert sorted(made.server.folder.iterdir()) == before, "what was staged is left"
    over = made.aegis("resume")
    assert over.code == 1, over.text
    assert "over before" in over.text
    (programs / "postgres").unlink()
    (programs / "postgres").symlink_to(real / "postgres")
    made.ok("apply", "-y", "--scenario", "database-failure")
    assert made.rows() == rows
