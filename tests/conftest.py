"""Options of the test run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sweep", action="store_true", help="run long sweeps in full")


@pytest.fixture(scope="session")
def sweep(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--sweep"))
