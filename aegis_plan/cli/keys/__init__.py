"""`aegis keys`: makes the keys of a site and changes who can open what. Never prints a private key unasked."""

from __future__ import annotations

import click

from aegis_plan.cli.keys.check import command as check
from aegis_plan.cli.keys.escrow import command as escrow
from aegis_plan.cli.keys.list import command as list_
from aegis_plan.cli.keys.new import command as new
from aegis_plan.cli.keys.rewrap import command as rewrap
from aegis_plan.cli.keys.rotate import command as rotate
from aegis_plan.cli.keys.sheet import command as sheet


@click.group("keys")
def command() -> None:
    """Make, list and change keys; say who can open what."""


for _one in (new, list_, rotate, rewrap, escrow, sheet, check):
    command.add_command(_one)
