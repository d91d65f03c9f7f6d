"""Imports run downwards only. Each room may import what its line names, and third-party clients stay in their room."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "aegis_plan"

# Room -> the rooms (or single modules) that it may import besides itself, `errors`, `clock` and `requirement`.
ALLOWED: dict[str, set[str]] = {
    "documents": {"stores.*.spec", "stores.specs", "actions.spec"},
    "topology": {"documents"},
    "catalog": set(),
    "sealing": {"catalog", "documents"},
    "repositories": {"sealing", "catalog", "documents"},
    "observe": {"documents", "topology", "catalog", "repositories", "dispatch.contract", "plan.step", "journal"},
    "plan": {
        "documents",
        "topology",
        "catalog",
        "observe.snapshot",
        "stores.contract",
        "stores.copies",
        "stores.locking",
        "stores.retention",
        "stores.specs",
        "stores.verification",
        "actions.spec",
    },
    "journal": {"sealing", "repositories", "dispatch.contract"},
    "dispatch": {"sealing", "documents"},
    "run": {
        "plan",
        "journal",
        "dispatch.contract",
        "documents",
        "observe.snapshot",
        "repositories",
        "topology",
        "catalog",
        "sealing",
    },
    "site": {"dispatch.contract", "actions", "stores", "repositories", "sealing", "documents", "probes", "catalog"},
    "standalone": {"documents"},
    "actions": {
        "dispatch.contract",
        "standalone",
        "stores",
        "repositories",
        "sealing",
        "documents",
        "catalog",
        "probes",
        "observe.snapshot",
    },
    "probes": {"documents"},
    "stores": {
        "actions.contract",
        "actions.spec",
        "catalog",
        "documents",
        "repositories",
        "sealing",
        "dispatch.contract",
        "observe.snapshot",
        "plan.step",
        "plan.plan",
    },
    "schedule": {"documents", "catalog", "repositories", "sealing"},
    "report": {
        "plan",
        "journal",
        "run",
        "observe.snapshot",
        "catalog",
        "documents",
        "topology",
        "dispatch.contract",
        "schedule.job",
        "repositories.schedule_history",
    },
    "cli": {"*"},
}
CLIENTS = {
    "psycopg": ("stores/postgresql/", "cli/demo/"),
    "boto3": ("repositories/s3connect.py", "cli/demo/"),
    "botocore": ("repositories/s3connect.py", "repositories/s3errors.py", "cli/demo/"),
    "neo4j": ("stores/neo4j/", "cli/demo/"),
    "pymilvus": ("stores/milvus/", "cli/demo/"),
    "azure": (
        "repositories/azure.py",
        "repositories/azureconnect.py",
        "repositories/azureerrors.py",
        "repositories/blocks.py",
        "cli/demo/",
    ),
}
# What decides by its arguments alone: folders end with a slash. Every `spec.py` is pure as well.
PURE = (
    "catalog/",
    "documents/align.py",
    "documents/digest.py",
    "documents/format.py",
    "documents/layout.py",
    "documents/lint/",
    "documents/model/",
    "documents/names.py",
    "documents/nearest.py",
    "documents/pieces.py",
    "documents/recipients.py",
    "documents/reference.py",
    "documents/required.py",
    "documents/scalars.py",
    "documents/schema.py",
    "documents/secrets.py",
    "documents/sense.py",
    "documents/shape.py",
    "documents/source.py",
    "documents/template.py",
    "documents/tree.py",
    "errors.py",
    "observe/snapshot.py",
    "plan/",
    "report/gist.py",
    "requirement.py",
    "run/decide.py",
    "run/what_if.py",
    "schedule/export.py",
    "schedule/job.py",
    "stores/contract.py",
    "stores/copies.py",
    "stores/locking.py",
    "stores/milvus/check.py",
    "stores/milvus/model.py",
    "stores/milvus/recipe.py",
    "stores/neo4j/check.py",
    "stores/neo4j/model.py",
    "stores/neo4j/recipe.py",
    "stores/neo4j/values.py",
    "stores/postgresql/bonds.py",
    "stores/postgresql/chains.py",
    "stores/postgresql/recipe.py",
    "stores/problem.py",
    "stores/retention.py",
    "stores/verification.py",
    "stores/whole.py",
    "topology/",
)
READS = {"plan/planfile.py"}
"""Pure but for one file that is named to it."""
IMPURE = {"os", "socket", "subprocess", "time", "pathlib", "shutil", "random", "secrets", "httpx", "tempfile"}


def imports(path: Path) -> list[str]:
    """Every module that the file imports, also inside functions, but not for type checking alone."""
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


CLOCKS = {"datetime": {"now", "utcnow", "today"}, "date": {"today"}, "time": {"time", "monotonic", "time_ns"}}
FILING = {"read_text", "read_bytes", "write_text", "write_bytes"}


def impure_calls(text: str) -> list[str]:
    """Where a module asks a clock itself, or opens a file."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).rpartition(".")[2]
            if node.attr in FILING or node.attr in CLOCKS.get(owner, ()):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            found.append(ast.unparse(node))
    return found


def matches(target: str, allowed: str) -> bool:
    wanted, got = allowed.split("."), target.split(".")
    return all(index < len(got) and part in ("*", got[index]) for index, part in enumerate(wanted))


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    inside = path.relative_to(PACKAGE)
    room = inside.parts[0]
    for module in imports(path):
        for client, homes in CLIENTS.items():
            if module == client or module.startswith(client + "."):
                assert str(inside).startswith(homes), f"{inside} imports {module}, whose home is {homes}"
        if not module.startswith("aegis_plan.") or len(inside.parts) == 1:
            continue
        target = module.removeprefix("aegis_plan.")
        if target.split(".")[0] in {room, "errors", "clock", "requirement"}:
            continue
        assert any(matches(target, allowed) for allowed in ALLOWED[room]), f"{inside} imports {module}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent.parent.name == "stores"], ids=lambda path: path.stem
)
def test_no_engine_knows_another(path: Path) -> None:
    """What two engines need stands in `stores/` itself."""
    own = f"aegis_plan.stores.{path.parent.name}."
    engines = [f"aegis_plan.stores.{folder.name}." for folder in (PACKAGE / "stores").iterdir() if folder.is_dir()]
    others = tuple(engine for engine in engines if engine != own)
    assert [module for module in imports(path) if module.startswith(others)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_planning_is_pure(path: Path) -> None:
    inside = str(path.relative_to(PACKAGE))
    pure = inside.startswith(PURE) or inside.endswith("/spec.py")
    if pure and inside not in READS:
        assert not IMPURE & {module.split(".")[0] for module in imports(path)}
        assert impure_calls(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("entry", [*PURE, *READS])
def test_what_is_called_pure_is_there(entry: str) -> None:
    """A name that fits no file would be proved by nothing."""
    assert [path for path in FILES if str(path.relative_to(PACKAGE)).startswith(entry)]


@pytest.mark.parametrize(
    "text",
    [
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.utcnow()",
        "from datetime import date\nx = date.today()",
        "x = make(now=time.time)",
        "with open(name) as file: pass",
        "x = path.read_text()",
    ],
)
def test_a_clock_or_a_file_is_seen(text: str) -> None:
    assert impure_calls(text)


def test_a_moment_that_was_passed_in_is_none() -> None:
    assert impure_calls("x = scope.now + ask.now\nself.open(1)\ny = value.time()") == []


def test_nothing_imports_the_command_line() -> None:
    for path in FILES:
        if path.relative_to(PACKAGE).parts[0] not in ("cli", "__main__.py"):
            assert not [module for module in imports(path) if module.startswith("aegis_plan.cli")], path
