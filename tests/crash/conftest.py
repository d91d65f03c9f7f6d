"""Worlds of the crash tests."""

from tests.thread.conftest import bare, protected

__all__ = ["bare", "protected"]
