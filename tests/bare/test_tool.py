"""The copy of the tool that lies beside the documents can be installed, and is the one that was published."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aegis_plan.actions.tool_wheels import needed, packed
from tests.bare.test_trust import System


def test_wheels_of_what_is_installed_install(tmp_path: Path) -> None:
    """A package of pure Python, one with a library, and the tool itself."""
    names = {one.metadata["Name"].lower() for one in needed()}
    assert {"aegis-plan", "boto3", "pyrage", "pydantic"} <= names
    assert "pytest" not in names, "what only tests need is left out"
    assert "milvus-lite" not in names
    lite = {one.metadata["Name"].lower() for one in needed(("milvus-lite", "not-there"))}
    assert lite >= {"milvus-lite", *names}, "a store that is a file of Milvus Lite needs it"
    (tmp_path / "wheels").mkdir()
    wheels = [packed(name, tmp_path / "wheels") for name in ("aegis-plan", "click", "pyrage")]
    again = tmp_path / "again"
    again.mkdir()
    assert packed("click", again).read_bytes() == wheels[1].read_bytes()
    target = tmp_path / "target"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--target",
         str(target), *map(str, wheels)], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    code = "import click, pyrage, aegis_plan.cli.main as m; print(m.__file__); print(m.main(['help', 'bare-machine']))"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(target)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert str(target) in ran.stdout, ran.stderr


def unseal(program: Path, words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(program), *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_wheels_are_published_once_and_taken_out_by_hand(tmp_path: Path) -> None:
    system = System(tmp_path / "system")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "tool-1-py3-none-any.whl").write_bytes(b"the tool" * 1000)
    system.ok("publish", "--wheels", str(wheels), "-y")
    (stored,) = (system.folder / "one").rglob("tool-1-py3-none-any.whl")
    with (system.folder / "plans" / "aegis.yaml").open("a") as file:
        file.write("# changed\n")
    system.ok("apply", "-y")  # a plan of protection keeps what lies beside
    assert [stored] == list((system.folder / "one").rglob("tool-1-py3-none-any.whl"))
    (program, *_) = (system.folder / "one").rglob("unseal.py")
    words = ["tool", str(system.folder / "one"), "out", "--key", str(system.folder / "site/keys/recovery.age")]
    ran = subprocess.run(
        [sys.executable, str(program), *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / stored.name).read_bytes() == stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(b"another tool")
    words[2] = "again"
    ran = subprocess.run(
        [sys.executable, str(program), *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, "not what was published" in ran.stderr) == (1, True)


def test_a_folder_without_wheels_is_refused(tmp_path: Path) -> None:
    system = System(tmp_path / "system")
    ran = system.aegis("publish", "--wheels", str(tmp_path), "-y")
    assert (ran.code, "wheels-missing" in ran.text) == (64, True), ran.text
