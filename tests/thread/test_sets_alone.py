"""A store of which no log is archived: each of its sets can be gone back to, by any moment from it to the next."""

from __future__ import annotations

import re
import time

from tests.thread.beside import rows_beside
from tests.thread.world import World


def test_a_moment_is_that_of_the_newest_set_before_it(bare: World) -> None:
    made = bare
    documents = made.plans / "aegis.yaml"
    documents.write_text(re.sub(r"      log: \{[^}]*\}\n", "", documents.read_text()))
    too_early = made.now()
    made.ok("apply", "-y")
    first, after_first = made.rows(), made.now()
    time.sleep(0.1)
    made.insert(20, "between the sets")
    made.ok("backup", "policy-db", "--full", "-y")
    second = made.rows()
    made.insert(20, "in no set")
    assert rows_beside(made, "--to", after_first) == first
    assert "no log is archived" in made.outputs[-1]
    assert rows_beside(made, "--to", made.now()) == second
    refused = made.aegis("restore", "policy-db", "--to", too_early, "--beside", str(made.folder / "never"), "-y")
    assert refused.code == 1
    assert "target-before-first-backup" in refused.text
    # The moment of a set as the catalog shows it can be copied.
    shown = re.findall(r"^    (20\S+ \S+ KST)$", made.ok("catalog").out, re.MULTILINE)
    assert len(shown) == 2, made.outputs[-1]
    assert rows_beside(made, "--to", shown[0]) == first


def test_with_a_log_declared_no_moment_behind_it_is_taken_for_another(protected: World) -> None:
    """Nothing is archived behind the first full yet, and nothing tells what was written since."""
    made = protected
    time.sleep(1.1)
    refused = made.aegis("plan", "--scenario", "database-failure", "--to", made.now())
    assert refused.code == 1, refused.text
    assert "target-after-log" in refused.text
