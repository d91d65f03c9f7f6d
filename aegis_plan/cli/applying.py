"""Approves a plan and carries it out: the way that `apply`, `resume`, `backup` and `restore` share."""

from __future__ import annotations

import getpass
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from aegis_plan.errors import EXIT_INTERRUPTED, AegisError, StaleError, UsageError
from aegis_plan.report.visible import visible

if TYPE_CHECKING:
    from aegis_plan.cli.session import Session
    from aegis_plan.cli.wire import World
    from aegis_plan.observe.snapshot import Snapshot
    from aegis_plan.plan.plan import Plan
    from aegis_plan.plan.step import Step
    from aegis_plan.repositories.contract import Repository
    from aegis_plan.run.approval import Approval, Approver
    from aegis_plan.run.events import Tell
    from aegis_plan.run.executor import Executor
    from aegis_plan.run.result import Result


def who() -> str:
    """The person at the keyboard, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def approve(session: Session, plan: Plan, digest: str, *, yes: bool, approved: str | None) -> str:
    """Has the plan approved and returns how: `option`, `digest` or `terminal`.

    Raises AegisError `plan-blocked`, `approval-refused`, `approval-of-another`, UsageError `approval-missing`."""
    if plan.blocked:
        raise AegisError(
            "plan-blocked",
            "the plan has errors and cannot be applied",
            "; ".join(one.summary for one in plan.findings if one.severity == "error"),
            "its findings say what to do; 'aegis plan' shows them",
        )
    if approved:
        if len(approved) < 12 or not digest.startswith(approved.lower()):
            raise AegisError(
                "approval-of-another",
                "the approval is for another plan",
                f"this plan's digest is {digest}",
                "look at the plan with 'aegis show', and give at least 12 digits of its digest",
            )
        return "digest"
    if yes:
        return "option"
    if not session.interactive:
        raise UsageError(
            "approval-missing",
            "nobody approved this",
            "there is no terminal to ask at",
            f"add -y, or --approve {digest[:12]}",
        )
    answer = _ask("\nDo you want to do this? Only 'yes' approves: ")
    if answer.strip() != "yes":
        raise AegisError("approval-refused", "the plan was not approved", "nothing was changed", "type 'yes' in full")
    return "terminal"


def _ask(question: str) -> str:
    click.echo(question, nl=False, err=True)
    sys.stderr.flush()
    try:
        return sys.stdin.readline()
    except OSError:  # the terminal was closed
        return ""


def fresh_look(world: World, plan: Plan, digest: str, break_glass: str = "") -> Snapshot:
    """Looks again; StaleError says what differs when the plan no longer fits the world, or was applied.

    Raises StaleError `plan-applied`, `plan-stale`."""
    from aegis_plan.cli.planning import plan_from
    from aegis_plan.plan.difference import difference
    from aegis_plan.run.stale import stale
    from aegis_plan.run.used import refuse_used

    applied: StaleError | None = None
    try:
        authority = state_authority(world, break_glass)
        if plan.steps and authority is not None:
            refuse_used(authority, plan.system, digest)
    except StaleError as error:
        applied = error
    snapshot = world.observe(plan.intent.stores or None, plan.intent.sites_down)
    # The files are those of the plan: what it publishes was looked at with it.
    snapshot = snapshot.model_copy(update={"working": plan.snapshot.working})
    drifts = stale(plan, snapshot)
    if not drifts and applied is None:
        return snapshot
    now = plan_from(plan.documents, plan.documents_digest, plan.intent, snapshot, plan.tool)
    lines = list(difference(plan, now))
    detail = applied.detail if applied else "; ".join(str(drift) for drift in drifts[:5])
    if lines:
        detail += "\nA new plan differs:\n" + "\n".join(f"  {line}" for line in lines)
    if applied:
        raise StaleError(applied.code, applied.summary, detail, applied.hint)
    raise StaleError(
        "plan-stale",
        "the world is no longer as the plan assumes",
        detail,
        "make a new plan and look at it; nothing was changed",
    )


class Asker:
    """Asks for the approval of single steps at the terminal, with the live view taken away meanwhile."""

    def __init__(self, session: Session, pause: Callable[[], None], go_on: Callable[[], None]) -> None:
        self._session, self._pause, self._go_on = session, pause, go_on

    def __call__(self, step: Step) -> Approval | None:
        from aegis_plan.run.approval import Approval

        if not self._session.interactive:
            return None
        self._pause()
        try:
            answer = _ask(f"\n{visible(step.title)}: {visible(step.approve)}\nOnly 'yes' approves: ")
        finally:
            self._go_on()
        return Approval(given=answer.strip() == "yes", by=who(), how="terminal")


@contextmanager
def interruptible(executor: Executor) -> Iterator[None]:
    """The first Ctrl-C or TERM ends the run gracefully, the second at once. A terminal that is closed ends it
    gracefully too, and however often it is told: shell and kernel both tell."""
    count = 0

    def say(text: bytes) -> None:
        with suppress(OSError):
            os.write(2, text)

    def on_signal(number: int, _frame: Any) -> None:
        nonlocal count
        count += number != signal.SIGHUP
        if count > 1:
            say(b"\nended at once; aegis resume goes on from the journal\n")
            os._exit(EXIT_INTERRUPTED)
        say(b"\nstopping; what runs is brought to an end. Once more ends at once.\n")
        executor.interrupt()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup wants it to go on
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Telling:
    """Passes on what is told. When the output takes no more, the run goes on in silence: its journal has all of it."""

    def __init__(self, tell: Callable[[Any], None]) -> None:
        self._tell, self._silent = tell, False

    def __call__(self, told: Any) -> None:
        if self._silent:
            return
        try:
            self._tell(told)
        except OSError as error:
            self._silent = True
            # What waits to be written would fail again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            with suppress(OSError):
                click.echo(f"warning: the output cannot be written ({error.strerror}); the run goes on", err=True)


def sealer(world: World, run: str) -> Callable[[int, bytes], bytes]:
    """Signs journal lines and seals them to everybody who may read backups, so that a run can be read in the disaster
    too, and gone on with. What lines are sent together is an age file of its own, which the plain `age` tool opens."""
    from aegis_plan.journal.mirrored import signed
    from aegis_plan.sealing.letters import seal

    sealing = world.documents.sealing
    if sealing is None:
        raise AegisError(
            "sealing-missing",
            "the documents do not say to whom backups are sealed",
            "there is no section 'sealing'",
            "'aegis keys new SITE' makes keys and prints the section",
        )
    site, key = world.here.file.site, world.here.keys.signing

    def sealed(number: int, lines: bytes) -> bytes:
        return seal(lines if key is None else signed(lines, run, number, site, key), sealing)

    return sealed


def carry_out(
    session: Session,
    world: World,
    plan: Plan,
    digest: str,
    run: str,
    how: str,
    snapshot: Snapshot,
    *,
    kept: bytes = b"",
    resume: bool = False,
    lock_timeout: float = 0.0,
    break_glass: str = "",
    as_json: bool = False,
) -> Result:
    """Applies or resumes, telling progress and summary. `snapshot` is fresh: the plan's facts are held against it.
    `kept` is the plan file, where there is one."""
    from aegis_plan.cli.version import version
    from aegis_plan.journal.mirror import Mirror
    from aegis_plan.plan.planfile import write
    from aegis_plan.report.events import line, version_line
    from aegis_plan.report.progress import Lines, View
    from aegis_plan.report.result import show_result
    from aegis_plan.run.executor import Executor

    authority = state_authority(world, break_glass)
    if authority is None:
        click.echo(
            f"warning: going on without the state authority, as --break-glass says: {break_glass}\n"
            "  No lease keeps others away, and the plan is not marked as used. See that nobody else works on the same "
            "stores.",
            err=True,
        )
    copies = [*([authority] if authority else []), *world.mirrors()]
    kept = kept or write(plan)
    mirror = Mirror(copies, plan.system, run, sealer(world, run), kept) if copies else None

    def go(tell: Tell, approver: Approver) -> Result:
        executor = Executor(
            plan,
            digest,
            run,
            world.here.folder / "runs" / run,
            world.dispatcher,
            authority,
            world.clock,
            approver,
            tell,
            who=who(),
            snapshot=snapshot,
            kept=kept,
            look=lambda: world.observe(plan.intent.stores or None, plan.intent.sites_down),
            mirror=mirror,
            break_glass=break_glass,
            approved=how,
            lock_timeout=lock_timeout,
        )
        with interruptible(executor):
            return executor.resume() if resume else executor.apply()

    if as_json:
        from aegis_plan.run.approval import nobody

        click.echo(version_line(version(), world.clock.now()))
        result = go(Telling(Lines(click.echo).tell), nobody)
        Telling(click.echo)(line("result", world.clock.now(), f"run {run}: {result.verdict}", **result.as_data()))
        return result
    out = session.console()
    out.print()
    with View(plan, out) as view:
        result = go(Telling(view.tell), Asker(session, view.pause, view.go_on))
    Telling(lambda told: show_result(told, out))(result)
    return result


def state_authority(world: World, break_glass: str) -> Repository | None:
    """Where leases and used plans are kept; None when it cannot be opened and that was accepted with a reason."""
    from aegis_plan.errors import UnavailableError
    from aegis_plan.repositories.keys import used_plan

    try:
        authority = world.authority()
        # Opening shows nothing: the first use does.
        authority.head(used_plan(world.documents.system.name, "0" * 64))
    except AegisError as error:
        if break_glass:
            return None
        # Also where its credentials are not known here: a machine that has nothing may know those of a mirror only.
        kind = UnavailableError if isinstance(error, UnavailableError) else AegisError
        way = "in an emergency --break-glass REASON goes on without it, and then nobody keeps others away"
        where = f"{error.detail}; the state authority holds leases and used plans"
        raise kind(error.code, error.summary, where, f"{error.hint}; {way}" if error.hint else way) from None
    return authority
