"""`aegis unlock STORE/ASPECT`: lets go of a lease whose owner is surely dead. The next owner gets a higher epoch, so
that the old one, should it live, is refused by every site."""

from __future__ import annotations

import click

from aegis_plan.cli.completing import leases
from aegis_plan.cli.planning import require_known
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import AegisError, DamageError, UsageError


@click.command("unlock")
@click.argument("lease", shell_complete=leases)
@click.option("--epoch", type=int, default=None, help="The lease that is meant, where nobody can be asked.")
@pass_session
def command(session: Session, lease: str, epoch: int | None) -> None:
    """Take the lease STORE/ASPECT (aspect: data or log) from an owner that is gone."""
    from aegis_plan.cli.applying import who
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.documents.scalars import span
    from aegis_plan.repositories import keys
    from aegis_plan.repositories import lease as leases

    store, _, aspect = lease.partition("/")
    if aspect not in ("data", "log"):
        raise UsageError(
            "lease-unknown", "there is no such lease", f"'{lease}' names none", "write it as STORE/data or STORE/log"
        )
    loaded = load_documents()
    require_known("store", store, loaded.documents.stores)
    with world(loaded.documents, loaded.digest) as seen:
        authority = seen.authority()
        key = keys.lease(loaded.documents.system.name, store, aspect)
        now = seen.clock.now()
        out = session.console()
        try:
            found = leases.read(authority, key)
        except DamageError as error:
            out.print(f"{lease} cannot be read: {error.detail}. Nobody can tell who holds it.", soft_wrap=True)
            _meant(session, lease, 0, epoch)
            leases.clear(authority, key, who(), seen.clock)
            out.print(f"Let go of {lease}.")
            return
        if found is None or found[0].free(now):
            out.print(f"Nobody holds {lease}.")
            return
        state, tag = found
        age = span((now - state.renewed).total_seconds())
        out.print(
            f"{lease} is held by {state.owner} on {state.host} for {state.purpose}, run {state.run}, "
            f"epoch {state.epoch},\n"
            f"last renewed {age} ago. A run that still lives stops at once when its lease is gone.",
            soft_wrap=True,
        )
        _meant(session, lease, state.epoch, epoch)
        leases.release(authority, leases.Lease(key, state, tag), seen.clock)
        out.print(f"Let go of {lease}.")


def _meant(session: Session, lease: str, held: int, given: int | None) -> None:
    """Raises AegisError `unlock-not-meant` unless the epoch of the lease was given; one that cannot be read has 0."""
    if given is None and session.interactive:
        answer = click.prompt(f"Type the epoch to let go of it ({held})", err=True)
        given = int(answer) if answer.strip().isdecimal() else -1
    if given != held:
        raise AegisError(
            "unlock-not-meant",
            "the lease was not let go of",
            f"the epoch is {held}, " + ("none was given" if given is None else f"given was {given}"),
            f"aegis unlock {lease} --epoch {held}",
        )
