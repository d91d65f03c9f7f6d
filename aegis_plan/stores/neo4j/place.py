"""Where the data of a server lies, and what a restore puts beside it. Nothing without our note of this run is ever
removed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.folder_note import NOTE as NOTE
from aegis_plan.stores.folder_note import ours as ours
from aegis_plan.stores.folder_note import read_note as read_note
from aegis_plan.stores.folder_note import refuse_foreign, remove_noted
from aegis_plan.stores.folder_note import sync_folder as sync_folder
from aegis_plan.stores.folder_note import write_note as write_note
from aegis_plan.stores.neo4j.model import Server


@dataclass(frozen=True)
class Layout:
    """The folders of one server, or of a place beside."""

    data: Path
    """What Neo4j calls server.directories.data."""
    transactions: Path
    staging: Path
    """On the same file system as the data, so that putting it in place is a rename."""

    @property
    def databases(self) -> Path:
        return self.data / "databases"

    def old(self, run: str) -> Path:
        """Where the old databases are kept."""
        return self.data / f".aegis-old-{run}"

    def old_transactions(self, run: str) -> Path:
        """Beside the transactions, where those lie on another disk."""
        within = self.transactions == self.data / "transactions"
        return self.old(run) if within else self.transactions / f".aegis-old-{run}"

    @property
    def staged(self) -> Path:
        """The data folder of the private server."""
        return self.staging / "data"

    @property
    def staged_transactions(self) -> Path:
        if self.transactions == self.data / "transactions":
            return self.staged / "transactions"
        return self.transactions / ".aegis-new"


def settings(server: Server) -> dict[str, str]:
    """What neo4j.conf says; empty where it cannot be read."""
    path = configuration(server) / "neo4j.conf"
    found: dict[str, str] = {}
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return found
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            found[name.strip()] = value.strip()
    return found


def configuration(server: Server) -> Path:
    """The folder of neo4j.conf."""
    return Path(server.configuration) if server.configuration else Path(server.home) / "conf"


def layout(server: Server) -> Layout:
    """Where the member's server has its data."""
    said, home = settings(server), Path(server.home)
    data = home / said.get("server.directories.data", "data")
    data = Path(os.path.realpath(data))
    logs = said.get("server.directories.transaction.logs.root")
    transactions = Path(os.path.realpath(home / logs)) if logs else data / "transactions"
    return Layout(data, transactions, data / ".aegis-new")


def beside(folder: str) -> Layout:
    """A place that no server has."""
    final = Path(folder)
    staging = final.with_name(final.name + ".aegis-new")
    return Layout(final, final / "transactions", staging)


def own(folder: Path, ids: tuple[int, int] | None) -> None:
    """Makes a private folder of the server's account."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if ids:
        os.chown(folder, *ids)


def make(where: Layout, ids: tuple[int, int] | None, context: Context) -> None:
    """Makes the staging folder with our note. Raises AegisError `staging-occupied`, `place-refused`."""
    refuse_foreign(where.staging, context)
    try:
        own(where.staging, ids)
        write_note(where.staging, run=context.attempt.run, store=context.attempt.params["store"], state="staging")
        for folder in (where.staged, where.staged_transactions):
            own(folder, ids)
    except OSError as error:
        raise AegisError(
            "place-refused",
            "restored data cannot be put there",
            f"{where.staging}: {error.strerror}",
            "let the account of the site write into its parent folder",
        ) from None


def remove(where: Layout, context: Context) -> None:
    """Removes what this run staged; nothing there is fine."""
    if not ours(where.staging, context):
        return
    if where.staged_transactions.parent != where.staged:
        shutil.rmtree(where.staged_transactions, ignore_errors=True)
    remove_noted(where.staging)
