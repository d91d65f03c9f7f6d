"""The demo told from beginning to end. All that it does to the product is a command that you could type."""

from __future__ import annotations

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

from aegis_plan.cli.demo import system, writer
from aegis_plan.cli.demo.server import Server, prepare, reaches, server_user
from aegis_plan.cli.session import Session
from aegis_plan.documents.scalars import span
from aegis_plan.errors import EXIT_BREACH, EXIT_FAILED, EXIT_INTERRUPTED, AegisError
from aegis_plan.report.terminal import amount, letters

_ZONE = ZoneInfo("Asia/Seoul")


def tell(session: Session, folder: Path | None, *, yes: bool, keep_running: bool) -> int:
    """Runs the demo and returns its exit code: 0 only when every row compares."""
    out = session.console()
    story = Story(out, _folder(folder, out), yes=yes, color=session.color)
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

    def __init__(self, out: Console, folder: Path, *, yes: bool, color: bool) -> None:
        self.out = out
        self.folder = folder
        self.yes = yes
        self.color = color
        self.server: Server | None = None
        self.writer: writer.Writer | None = None
        self.part = 0
        self.begun = time.monotonic()

    def run(self, keep_running: bool) -> int:
        notes = self.folder / "acknowledged.jsonl"
        self.say(
            "A small system",
            "A PostgreSQL server with policies that keep changing. Every change that the server acknowledges is also "
            "noted in a file outside of it.",
        )
        self.server = server = prepare(self.folder)
        server.create()
        server.start()
        writer.create(server.connection)
        system.write(self.folder, server)
        self.writer = changing = writer.Writer(server.connection, notes)
        changing.start()
        self.aegis("keys", "new", system.SITE, "--documents", "plans/sealing.yaml")
        self.aegis("validate")

        self.say("Protection", "The documents say how it is backed up. Nothing is yet, so the plan makes it so.")
        self.aegis("apply", "-y")
        changing.wait_for(40)
        self.say("Everyday backups", "Later the schedule asks for an incremental and for the log.")
        self.aegis("backup", system.STORE, "--incremental", "-y")
        changing.wait_for(40)
        self.aegis("backup", system.STORE, "--log", "-y")
        changing.wait_for(60)

        self.say("The disaster")
        failed_at = datetime.now(_ZONE)
        gone = server.destroy()
        changing.stop()
        self.out.print(
            f"Killed the server and deleted {server.data}: {amount(gone)} are gone.\n"
            f"{changing.acknowledged} changes had been acknowledged until then.",
            soft_wrap=True,
        )

        self.say("The plan", "Nothing is touched before someone has read what would happen.")
        when = f"{failed_at:%Y-%m-%d %H:%M:%S}.{failed_at.microsecond // 1000:03}"
        self.aegis("plan", "--scenario", system.SCENARIO, "--failed-at", when, "--out", "recovery.plan")
        self.say("The recovery")
        # Who names the digest has read the plan, so it is not shown again.
        digest = json.loads((self.folder / "recovery.plan").read_text())["digest"]
        self.aegis("apply", "recovery.plan", *(["--approve", digest[:12]] if self.yes else []))

        self.say("The proof", "Every row is read back and held against the notes.")
        compared = writer.compare(server.connection, notes)
        self._prove(compared)
        self.aegis("status")
        self._farewell(keep_running)
        return 0 if compared.equal else EXIT_FAILED

    def end(self, keep_running: bool) -> None:
        """Stops what still runs."""
        if self.writer is not None:
            self.writer.stop()
        if self.server is not None and not keep_running:
            self.server.stop()

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

    def _prove(self, compared: writer.Comparison) -> None:
        out = self.out
        out.print()
        if compared.equal:
            out.print(
                Text(letters(out, "✓ "), style="good").append(
                    f"{compared.policies} policies and {compared.changes} changes compared: all as noted.", style="bold"
                )
            )
        else:
            out.print(
                Text(letters(out, "✗ "), style="bad").append(
                    f"{compared.wrong} rows differ from the notes, {compared.unnoted} were never acknowledged.", "bold"
                )
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
        figures = self._figures()
        out.print()
        out.print(f"  {'':<10}{'objective':<14}{'promised':<14}achieved", style="quiet")
        for word, objective in (("back in", "rto"), ("lost", "rpo")):
            target, promised, achieved = figures[objective]
            out.print(f"  {word:<10}{span(target):<14}{span(promised):<14}{span(achieved)}")

    def _figures(self) -> dict[str, tuple[float | None, float | None, float | None]]:
        """Objective, forecast and achievement of the store, in seconds, from the plan file and the run's own report."""
        plan = json.loads((self.folder / "recovery.plan").read_text())["plan"]
        done = subprocess.run(
            [sys.executable, "-m", "aegis_plan", "runs", "last", "--json"],
            cwd=self.folder, capture_output=True, check=True,
        )  # fmt: skip
        run = json.loads(done.stdout)
        found = {}
        for objective, achieved in (("rto", run["rta"]), ("rpo", run["rpa"])):
            rows = [row for row in plan["forecasts"] if row["objective"] == objective]
            rows.sort(key=lambda row: row["subject"] != system.STORE)
            target, promised = (rows[0]["target"], rows[0]["expected"]) if rows else (None, None)
            found[objective] = (target, promised, achieved)
        return found

    def _farewell(self, keep_running: bool) -> None:
        server = self.server
        assert server is not None
        out = self.out
        self.say("Look around")
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
            "  repositories/           the sealed backups, in two places",
            "  site/                   keys, and the journals of all runs",
            "  acknowledged.jsonl      the notes",
            "",
            f"cd {here}, then: aegis catalog, aegis runs, aegis show recovery.plan, aegis help",
            "The server runs on." if keep_running else f"The server is stopped. It starts again with:\n  {start}",
            f"\nTook {span(time.monotonic() - self.begun)}.",
        ]
        for text in lines:
            out.print(text, soft_wrap=True)
