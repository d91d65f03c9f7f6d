"""The demo: a small system, a disaster and its recovery, on this machine. It acts by the product's own commands."""

from __future__ import annotations

from aegis_plan.cli.demo.command import command

__all__ = ["command"]
