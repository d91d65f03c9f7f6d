"""Options of the test run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sweep", action="store_true", help="run long sweeps in full")


@pytest.fixture(scope="session")
def sweep(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--sweep"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what has no small form: marked `sweep(only=True)`, it runs with --sweep alone."""
    if config.getoption("--sweep"):
        return
    long = [item for item in items if any(mark.kwargs.get("only") for mark in item.iter_markers("sweep"))]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in set(long)]
