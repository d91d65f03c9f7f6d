"""The version of the tool, as installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """`0.1.0`; `0` in a checkout that was never installed."""
    try:
        return installed("aegis-plan")
    except PackageNotFoundError:
        return "0"
