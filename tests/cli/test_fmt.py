"""`aegis fmt` as a shell sees it: what it writes, what it leaves alone, and how it ends."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from aegis_plan.cli.main import main
from aegis_plan.documents.rewrite import rewrite
from aegis_plan.errors import AegisError

UGLY = "aegis:   v1   # the version\nsystem:   { name: demo }\n"
NEAT = "aegis: v1 # the version\nsystem: {name: demo}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plans = tmp_path / "plans"
    (plans / "more").mkdir(parents=True)
    (plans / "ugly.yaml").write_text(UGLY)
    (plans / "more" / "neat.yml").write_text(NEAT)
    (plans / "notes.txt").write_text(UGLY)
    monkeypatch.chdir(tmp_path)
    return plans


def test_writes_and_lists_what_it_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt"]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "ugly.yaml")]
    assert (folder / "ugly.yaml").read_text() == NEAT
    assert (folder / "notes.txt").read_text() == UGLY
    assert main(["fmt"]) == 0
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in folder.iterdir()) == ["more", "notes.txt", "ugly.yaml"]


def test_check_and_diff_write_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--check", "plans"]) == 1
    assert capsys.readouterr().out == "plans/ugly.yaml\n"
    assert main(["fmt", "--check", "plans/more"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["fmt", "--diff", "plans/ugly.yaml"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "-aegis:   v1   # the version" in out
    assert "+aegis: v1 # the version" in out
    assert (folder / "ugly.yaml").read_text() == UGLY


def test_json_tells_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.yaml").write_text("aegis: [v1\n")
    assert main(["fmt", "--check", "--diff", "--json", "plans"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["format"] == 1
    assert data["written"] is False
    assert [entry["file"] for entry in data["changed"]] == ["plans/ugly.yaml"]
    assert "+system: {name: demo}" in data["changed"][0]["diff"]
    assert data["unchanged"] == ["plans/more/neat.yml"]
    assert [(finding["code"], finding["position"]["file"]) for finding in data["findings"]] == [
        ("yaml-syntax", "plans/bad.yaml")
    ]


def test_a_file_that_is_no_yaml_is_told_and_the_others_are_formatted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.yaml").write_text("aegis: [v1\n")
    assert main(["fmt", "plans"]) == 1
    said = capsys.readouterr()
    assert said.out == "plans/ugly.yaml\n"
    assert "error[yaml-syntax]" in said.err
    assert "plans/bad.yaml:" in said.err
    assert (folder / "bad.yaml").read_text() == "aegis: [v1\n"


def test_standard_input_goes_to_standard_output(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aegis_plan", "fmt", "-"], input=UGLY.encode(), capture_output=True, check=True
    )
    assert done.stdout == NEAT.encode()
    done = subprocess.run([sys.executable, "-m", "aegis_plan", "fmt", "--check", "-"], input=UGLY.encode(), check=False)
    assert done.returncode == 1


def test_links_and_modes_stay(folder: Path) -> None:
    real = folder.parent / "elsewhere.yaml"
    real.write_text(UGLY)
    real.chmod(0o640)
    if os.getuid() == 0:
        os.chown(real, 12345, 54321)
    link = folder / "link.yaml"
    link.symlink_to(real)
    assert main(["fmt", "plans/link.yaml"]) == 0
    assert link.is_symlink()
    assert real.read_text() == NEAT
    assert real.stat().st_mode & 0o777 == 0o640
    if os.getuid() == 0:
        assert (real.stat().st_uid, real.stat().st_gid) == (12345, 54321)


def test_a_full_disk_leaves_the_old_file(folder: Path) -> None:
    """The system refuses to write more than a few bytes to any file."""
    long = UGLY + "".join(f"key-{number}:   value\n" for number in range(2000))
    (folder / "ugly.yaml").write_text(long)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [sys.executable, "-m", "aegis_plan", "fmt"], capture_output=True, text=True, check=False, preexec_fn=limit
    )
    assert done.returncode == 1
    assert "error[file-not-written]" in done.stderr
    assert (folder / "ugly.yaml").read_text() == long
    assert sorted(path.name for path in folder.iterdir()) == ["more", "notes.txt", "ugly.yaml"]


def test_killed_at_the_rename_leaves_the_old_file(folder: Path) -> None:
    code = (
        "import os, signal; from aegis_plan.cli.main import main; "
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL); main(['fmt'])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (folder / "ugly.yaml").read_text() == UGLY
    # What is left behind is read by nobody.
    assert main(["fmt"]) == 0
    assert (folder / "ugly.yaml").read_text() == NEAT


def test_what_somebody_saved_meanwhile_is_kept(folder: Path) -> None:
    with pytest.raises(AegisError) as caught:
        rewrite(folder / "ugly.yaml", b"what was read", NEAT.encode())
    assert caught.value.code == "file-changed"
    assert (folder / "ugly.yaml").read_text() == UGLY
    assert not list(folder.glob(".*"))


def test_a_file_that_is_protected_from_writing_stays() -> None:
    """Its folder would let it be replaced, so the system alone does not stop it. Root may write everything, so the
    attempt is made as somebody else."""
    code = """if True:
        import os, sys
        from pathlib import Path
        from aegis_plan.documents.rewrite import rewrite
        from aegis_plan.errors import AegisError
        if os.getuid() == 0:
            os.setuid(12345)
        try:
            rewrite(Path(sys.argv[1]), b"old", b"new")
        except AegisError as error:
            print(error.code, error.detail)
    """
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        file = Path(name, "a.yaml")
        file.write_bytes(b"old")
        file.chmod(0o444)
        done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
        assert done.stdout == f"file-not-written {file}: it is not writable for this user\n"
        assert file.read_bytes() == b"old"


def test_other_paths_beside_standard_input_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "-", "plans"]) == 64
    assert "stdin-alone" in capsys.readouterr().err


def test_the_hooks_of_pre_commit_run_commands_that_exist() -> None:
    """Each entry is a command line; a hook without file names works on the folder it is called in."""
    file = Path(__file__).parent.parent.parent / ".pre-commit-hooks.yaml"
    hooks = {hook["id"]: hook for hook in YAML(typ="safe").load(file.read_text())}
    assert set(hooks) == {"aegis-fmt", "aegis-validate"}
    assert hooks["aegis-validate"]["pass_filenames"] is False
    for hook in hooks.values():
        assert hook["language"] == "python"
        assert re.search(hook["files"], "plans/a.yml")
        assert re.search(hook["files"], "a.yaml")
        assert not re.search(hook["files"], "a.yaml.j2")
        assert main([*hook["entry"].split()[1:], "--help"]) == 0


def test_several_systems_are_formatted_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / "plans" / name).mkdir(parents=True)
        (tmp_path / "plans" / name / "a.yaml").write_text(f"aegis: v1\nsystem:   {{name: {name}}}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["fmt"]) == 0
    assert (tmp_path / "plans" / "two" / "a.yaml").read_text() == "aegis: v1\nsystem: {name: two}\n"
