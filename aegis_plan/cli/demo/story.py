"""The demo told from beginning to end. All that it does to the product is a command that you could type."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.text import Text

from aegis_plan.cli.demo import artifacts, system, writer
from aegis_plan.cli.demo.cast import Cast
from aegis_plan.cli.demo.server import reaches, server_user
from aegis_plan.cli.session import Session
from aegis_plan.documents.scalars import span
from aegis_plan.errors import EXIT_BREACH, EXIT_FAILED, EXIT_INTERRUPTED, AegisError
from aegis_plan.report.terminal import amount, letters

_ZONE = ZoneInfo("Asia/Seoul")
_NAMES = {"neo4j": "Neo4j", "milvus": "Milvus", "s3": "S3", "azure": "Azure"}


def tell(session: Session, folder: Path | None, *, yes: bool, quick: bool, keep_running: bool) -> int:
    """Runs the demo and returns its exit code: 0 only when every row, node and vector compares."""
    out = session.console()
    story = Story(out, _folder(folder, out), yes=yes, quick=quick, color=session.color)
    try:
        return story.run(keep_running)
    finally:
        story.end(keep_running)


def _folder(asked: Path | None, out: Console) -> Path:
    """Where the demo goes; a folder that exists is never touched."""
    folder = (asked or Path("demo")).absolute()
    user = server_user()
    if asked is None and user is not None and not reaches(user, Path.cwd()):
        folder = Path(tempfile.mkdtemp(prefix="aegis-", dir="/var/tmp")) / "demo"
        folder.parent.chmod(0o755)
        out.print(
            f"The database server runs as {user}, who cannot reach this folder; the demo goes to {folder}.",
            style="quiet",
        )
    if folder.exists() and any(folder.iterdir()):
        raise AegisError(
            "demo-folder-used",
            "the demo needs a folder of its own",
            f"{folder} is not empty",
            "remove it, or choose another with --dir",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AegisError("file-not-written", "a file cannot be written", f"{folder}: {error.strerror}") from None
    return folder


class Story:
    """One telling, with the server and the writer that belong to it."""

    def __init__(self, out: Console, folder: Path, *, yes: bool, quick: bool, color: bool) -> None:
        self.out = out
        self.folder = folder
        self.yes = yes
        self.quick = quick
        self.color = color
        self.cast = Cast()
        self.writer: writer.Writer | None = None
        self.part = 0
        self.begun = time.monotonic()

    def run(self, keep_running: bool) -> int:
        notes = self.folder / "acknowledged.jsonl"
        cast = self.cast
        self._begin()
        assert cast.postgresql is not None
        connection = cast.postgresql.connection
        system.write(self.folder, cast)
        self.writer = changing = writer.Writer(connection, notes)
        changing.start()
        self.aegis("keys", "new", system.SITE, "--documents", "plans/sealing.yaml")
        self.aegis("validate")

        self.say("Protection", "The documents say what is backed up, and where to. Nothing is yet: the plan does it.")
        self.aegis("apply", "-y")
        self.aegis("publish", "--wheels", "none", "-y")
        changing.wait_for(40)
        self.say("Everyday backups", "Later the schedule asks for an incremental and for the log.")
        self.aegis("backup", system.STORE, "--incremental", "-y")
        changing.wait_for(40)
        self.aegis("backup", system.STORE, "--log", "-y")
        changing.wait_for(60)

        self.say("The disaster")
        failed_at = datetime.now(_ZONE)
        self._destroy(changing)

        self.say("The plan", "Nothing is touched before someone has read what would happen.")
        when = f"{failed_at:%Y-%m-%d %H:%M:%S}.{failed_at.microsecond // 1000:03}"
        self.aegis("plan", "--scenario", system.SCENARIO, "--failed-at", when, "--out", "recovery.plan")
        self.say("The recovery")
        # Who names the digest has read the plan, so it is not shown again.
        digest = json.loads((self.folder / "recovery.plan").read_text())["digest"]
        self.aegis("apply", "recovery.plan", *(["--approve", digest[:12]] if self.yes else []))

        self.say("The proof", "All of it is read back and held against what it was made from.")
        equal = self._prove(writer.compare(connection, notes))
        self.aegis("status")
        self._farewell(keep_running)
        return 0 if equal else EXIT_FAILED

    def end(self, keep_running: bool) -> None:
        """Stops what still runs."""
        if self.writer is not None:
            self.writer.stop()
        if not keep_running:
            self.cast.stop()

    def _begin(self) -> None:
        told = (
            "A PostgreSQL server with policies that keep changing; every change that it acknowledges is also noted "
            "in a file outside of it. Milvus Lite with their embeddings."
        )
        if not self.quick:
            told += " Neo4j with a graph of them. Backups go to a folder and to an S3 and an Azure server."
        self.say("A small system", told)
        fetched = [] if self.quick else artifacts.to_fetch()
        if fetched:
            self.out.print(
                f"Fetching {' and '.join(fetched)} once, into the cache of this user; this can take some minutes.",
                style="quiet",
            )
        with self.out.status("starting servers") if self.out.is_terminal else contextlib.nullcontext():
            self.cast.start(self.folder, quick=self.quick)
        for name, why in self.cast.missing.items():
            self.out.print(f"Without {_NAMES[name]}: {why}.", style="quiet")

    def _destroy(self, changing: writer.Writer) -> None:
        cast, out = self.cast, self.out
        assert cast.postgresql is not None
        gone = cast.postgresql.destroy()
        changing.stop()
        out.print(
            f"Killed the server and deleted {cast.postgresql.data}: {amount(gone)} are gone.\n"
            f"{changing.acknowledged} changes had been acknowledged until then.",
            soft_wrap=True,
        )
        if cast.neo4j is not None:
            gone = cast.neo4j.destroy()
            out.print(f"Killed Neo4j and deleted {cast.neo4j.home / 'data'}: {amount(gone)}.", soft_wrap=True)
        if cast.milvus is not None:
            gone = cast.milvus.destroy()
            out.print(f"Deleted {cast.milvus.path}: {amount(gone)}.", soft_wrap=True)

    def say(self, title: str, text: str = "") -> None:
        """A new part of the story."""
        self.part += 1
        line = f"── {self.part}  {title} "
        width = min(self.out.width, 100)
        self.out.print()
        self.out.print(Text(letters(self.out, line + "─" * max(0, width - len(line))), style="cyan"))
        if text:
            self.out.print(letters(self.out, text, lines=True))

    def aegis(self, *arguments: str) -> None:
        """Runs one of the product's commands in the demo's folder and shows it with its output.

        Raises AegisError `demo-command-failed` with the command and its exit code."""
        shown = "aegis " + " ".join(shlex.quote(argument) for argument in arguments)
        self.out.print()
        self.out.print(Text("$ ", style="quiet").append(shown, style="bold"), soft_wrap=True)
        sys.stdout.flush()
        environment = {**os.environ, "COLUMNS": str(self.out.width), "AEGIS_IN_AUTOMATION": "1"}
        options = [] if self.color else ["--no-color"]
        child = subprocess.Popen(
            [sys.executable, "-m", "aegis_plan", *options, *arguments],
            cwd=self.folder,
            env=environment,
        )
        try:
            code = child.wait()
        except KeyboardInterrupt:
            # The terminal sent it to the child too, which ends in good order.
            child.wait()
            raise
        if code == -signal.SIGINT or code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if code not in (0, EXIT_BREACH):
            raise AegisError(
                "demo-command-failed",
                "a command of the demo failed",
                f"{shown} ended with exit code {code}",
                f"everything is as it was left in {self.folder}; the commands work there",
                exit_code=code if code > 0 else EXIT_FAILED,
            )

    def _prove(self, compared: writer.Comparison) -> bool:
        """Tells how all compares, and whether it does."""
        out, equal = self.out, compared.equal
        out.print()
        self._verdict(
            compared.equal,
            f"{compared.policies} policies and {compared.changes} changes compared: all as noted.",
            f"{compared.wrong} rows differ from the notes, {compared.unnoted} were never acknowledged.",
        )
        for what, kept in (
            ("nodes and relationships of the graph", self.cast.neo4j),
            ("entities with their vectors", self.cast.milvus),
        ):
            if kept is not None:
                found, wrong = kept.differences()
                equal = equal and wrong == 0
                self._verdict(
                    wrong == 0, f"{found} {what} compared: all as made.", f"{wrong} of {found} {what} differ."
                )
        if compared.lost:
            out.print(
                f"  {compared.lost} of {compared.acknowledged} acknowledged changes were younger than the last\n"
                f"  archived log and are lost: the last {span(compared.lost_seconds)} before the disaster.\n"
                "  Had the data directory been readable, they would have been fetched from it;\n"
                "  a log stream loses seconds at most."
            )
        else:
            out.print("  No acknowledged change is lost.")
        out.print()
        out.print(f"  {'':<18}{'':<10}{'objective':<14}{'promised':<14}achieved", style="quiet")
        for subject, word, target, promised, achieved in self._figures():
            out.print(f"  {subject:<18}{word:<10}{span(target):<14}{span(promised):<14}{span(achieved)}")
        return equal

    def _verdict(self, good: bool, well: str, badly: str) -> None:
        mark, style = ("✓ ", "good") if good else ("✗ ", "bad")
        self.out.print(Text(letters(self.out, mark), style=style).append(well if good else badly, style="bold"))

    def _figures(self) -> list[tuple[str, str, float | None, float | None, float | None]]:
        """Store, word, objective, forecast and achievement in seconds, from the plan file and the run's own report."""
        plan = json.loads((self.folder / "recovery.plan").read_text())["plan"]
        done = subprocess.run(
            [sys.executable, "-m", "aegis_plan", "runs", "last", "--json"],
            cwd=self.folder, capture_output=True, check=True,
        )  # fmt: skip
        promised = {(row["subject"], row["objective"]): row for row in plan["forecasts"]}
        achieved = {(row["subject"], row["objective"]): row for row in json.loads(done.stdout)["achieved"]}
        found = []
        for subject in system.stores(self.cast):
            for word, objective, achievement in (("back in", "rto", "rta"), ("lost", "rpo", "rpa")):
                there = achieved.get((subject, achievement), {})
                said = promised.get((subject, objective), {})
                target = there.get("target", said.get("target"))
                found.append((subject, word, target, said.get("expected"), there.get("seconds")))
        return found

    def _farewell(self, keep_running: bool) -> None:
        server = self.cast.postgresql
        assert server is not None
        out = self.out
        self.say("Look around")
        away = self.cast.s3 is not None or self.cast.azure is not None
        here = shlex.quote(str(self.folder))
        start = shlex.join([str(server.binaries / "pg_ctl"), "-D", str(server.data), "-l", str(server.log), "start"])
        if server.user:
            # In double quotes, which read better around a path that has quotes of its own.
            quoted = shlex.quote(start) if set(start) & set('"$`\\!') else f'"{start}"'
            start = f"su -s /bin/sh {server.user} -c {quoted}"
        lines = [
            f"Everything is in {self.folder}",
            "",
            "  plans/                  the documents",
            "  recovery.plan           the plan that was applied",
            "  repositories/           the sealed backups" + (" of the nearest place" if away else ", in two places"),
            "  site/                   keys, secrets, and the journals of all runs",
            "  acknowledged.jsonl      the notes",
            "",
            f"cd {here}, then: aegis catalog, aegis runs, aegis show recovery.plan, aegis help",
            "The servers run on."
            if keep_running
            else f"The servers are stopped. PostgreSQL starts again with:\n  {start}",
            f"\nTook {span(time.monotonic() - self.begun)}.",
        ]
        for text in lines:
            out.print(text, soft_wrap=True)
