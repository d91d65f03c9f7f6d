"""Real servers for the tests: each is found or installed, started on loopback in a private folder, and stopped by pid."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """Skips the test with its reason; where CI is set, a server that cannot be had is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needed in CI: {reason}", pytrace=False)
    pytest.skip(reason)
