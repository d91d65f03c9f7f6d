"""Completion in real shells: commands, options and the names that documents declare."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
WANTED = {
    "aegis pl": "plan",
    "aegis plan --html x --sce": "--scenario",
    "aegis plan --scenario r": "ransomware",
    "aegis validate --ignore scenario-unr": "scenario-unrehearsed",
    "aegis plan --site-down b": "busan",
    "aegis restore policy-db --member s": "seoul-1",
    "aegis unlock policy-db/l": "policy-db/log",
    "aegis check lo": "local",
    "aegis graph --scenario r": "ransomware",
    "aegis graph --target pol": "policy-db",
    "aegis -C ../aegis-clean check po": "policy-db",
    "aegis -C ../aegis-clean graph --target po": "policy-db",
    "aegis -C ../aegis-clean backup p": "policy-db",
}
_BASH = """
source <(aegis completion bash)
for words in "$@"; do
  COMP_WORDS=($words)
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  _aegis_completion aegis "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
  echo "$words: ${COMPREPLY[*]}"
done
"""
_FISH = 'aegis completion fish | source; complete -C "aegis plan --scenario r"'
_ZSH = 'autoload -U compinit; compinit -u -D; eval "$(aegis completion zsh)"; print ${_comps[aegis]}'


def run(shell: str, script: str, *arguments: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [shell, "-c", script, *([shell] if arguments else []), *arguments]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        command, cwd=ROOT / "plans" / "aegis", env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout


def test_bash_completes() -> None:
    told = dict(line.split(": ", 1) for line in run("bash", _BASH, *WANTED).splitlines())
    for words, wanted in WANTED.items():
        assert wanted in told[words].split(), words


def test_other_shells_take_their_scripts() -> None:
    """Where they are installed; what completes is the same for all."""
    if shutil.which("fish"):
        assert "ransomware" in run("fish", _FISH).split()
    if shutil.which("zsh"):
        assert "_aegis_completion" in run("zsh", _ZSH)


def test_nothing_is_told_where_there_are_no_documents(tmp_path: Path) -> None:
    environment = {
        **os.environ, "_AEGIS_COMPLETE": "bash_complete", "COMP_WORDS": "aegis plan --scenario r", "COMP_CWORD": "3",
    }  # fmt: skip
    program = str(Path(sys.executable).parent / "aegis")
    done = subprocess.run([program], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (b"", b"")
