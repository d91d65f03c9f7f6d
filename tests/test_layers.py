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
    "plan": {"documents", "topology", "catalog", "observe.snapshot", "stores.contract", "stores.specs", "actions.spec"},
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
    "actions": {
        "dispatch.contract",
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
    "report": {"plan", "journal", "run", "observe.snapshot", "catalog", "documents", "topology", "dispatch.contract"},
    "cli": {"*"},
}
CLIENTS = {
    "psycopg": ("stores/postgresql/", "cli/demo/"),
    "boto3": ("repositories/s3.py",),
    "botocore": ("repositories/s3.py", "repositories/s3errors.py"),
    "neo4j": ("stores/neo4j/",),
    "pymilvus": ("stores/milvus/",),
    "azure": ("repositories/azure.py",),
}
PURE = ("documents/model.py", "catalog/", "topology/", "plan/")
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_planning_is_pure(path: Path) -> None:
    inside = str(path.relative_to(PACKAGE))
    pure = inside.startswith(PURE) or inside.endswith("/spec.py")
    if pure and inside != "plan/planfile.py":
        assert not IMPURE & {module.split(".")[0] for module in imports(path)}


def test_nothing_imports_the_command_line() -> None:
    for path in FILES:
        if path.relative_to(PACKAGE).parts[0] not in ("cli", "__main__.py"):
            assert not [module for module in imports(path) if module.startswith("aegis_plan.cli")], path
