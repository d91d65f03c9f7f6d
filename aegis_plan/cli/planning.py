"""Makes a plan from what was asked: the way that `plan`, `apply`, `backup` and `restore` share. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis_plan.clock import stamp
from aegis_plan.errors import EXIT_BREACH, EXIT_CHANGES, EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from aegis_plan.cli.wire import World
    from aegis_plan.documents.model import Documents
    from aegis_plan.plan.plan import Intent, Plan


CLOCKS_DIFFER = timedelta(minutes=5)
"""So far the clock that a time of failure was read from may be ahead of ours."""

_UNKNOWN = {
    "scenario": "scenario-unknown",
    "store": "store-unknown",
    "site": "site-unknown",
    "member": "member-unknown",
    "repository": "repository-unknown",
}


@dataclass(frozen=True)
class Asked:
    """The planning options of the command line, as text."""

    scenario: str | None = None
    stores: tuple[str, ...] = ()
    to: str | None = None
    failed_at: str | None = None
    before: str | None = None
    sites_down: tuple[str, ...] = ()
    beside: Path | None = None
    member: str | None = None
    only: tuple[str, ...] = ()
    give_up_old_data: bool = False
    parallelism: int | None = None
    strategy: str | None = None

    @property
    def any(self) -> bool:
        """Whether anything was asked at all."""
        return self != Asked()


def intent_of(asked: Asked, documents: Documents) -> Intent:
    """What was asked for, checked against the documents, times in UTC.

    Raises UsageError `scenario-unknown`, `store-unknown`, `site-unknown`, `member-unknown`, `options-contradict`."""
    from aegis_plan.cli.moments import parse_moment
    from aegis_plan.cli.standin import here
    from aegis_plan.plan.plan import STANDS_IN, Intent, is_position

    zone = documents.system.timezone

    def when(text: str | None) -> str:
        return stamp(parse_moment(text, zone)) if text else ""

    require_known("scenario", asked.scenario, documents.scenarios)
    for store in asked.stores:
        require_known("store", store, documents.stores)
    for site in asked.sites_down:
        require_known("site", site, documents.sites)
    options: dict[str, Any] = {"parallelism": asked.parallelism} if asked.parallelism else {}
    recovering = asked.scenario or asked.to or asked.before or asked.beside or (asked.strategy and asked.stores)
    if not recovering:
        for name, value in (
            ("--failed-at", asked.failed_at),
            ("--member", asked.member),
            ("--give-up-old-data", asked.give_up_old_data),
            ("--strategy", asked.strategy if not asked.stores else None),
        ):
            if value:
                raise UsageError(
                    "options-contradict",
                    "these options make no sense together",
                    f"{name} belongs to a recovery",
                    "name what to recover from with --scenario, or where to with --to",
                )
        return Intent(kind="protect", stores=asked.stores, sites_down=asked.sites_down, options=options)
    if asked.to and asked.before:
        raise UsageError(
            "options-contradict",
            "these options make no sense together",
            "--to and --before both say where to go back to",
            "--before TIME finds the last moment before an infection, --to TIME is the moment itself",
        )
    if asked.beside and asked.give_up_old_data:
        raise UsageError(
            "options-contradict",
            "these options make no sense together",
            "--beside touches no old data, and --give-up-old-data removes it",
            "leave one of them out",
        )
    if not asked.scenario and not asked.stores:
        raise UsageError(
            "options-contradict",
            "nothing says what to recover",
            "--to, --before and --beside need a scenario or a store",
            "add --scenario NAME or --store NAME",
        )
    if asked.member:
        names = {member for store in documents.stores.values() for member in store.members}
        require_known("member", asked.member, dict.fromkeys(names))
        options["member"] = asked.member
    if asked.give_up_old_data:
        options["give_up_old_data"] = True
    found = here()
    if found is not None:
        options[STANDS_IN] = found[1].site
    to = asked.to or "latest"
    if to != "latest" and not is_position(to):
        to = when(to)
    return Intent(
        kind="recover" if asked.scenario else "restore",
        scenario=asked.scenario or "",
        stores=asked.stores,
        to=to,
        before=when(asked.before),
        sites_down=asked.sites_down,
        failed_at=when(asked.failed_at),
        selection=asked.only,
        beside=str(asked.beside.absolute()) if asked.beside else "",
        strategy=asked.strategy or (documents.scenarios[asked.scenario].strategy if asked.scenario else "restore"),
        options=options,
    )


def require_known(kind: str, name: str | None, among: Any) -> None:
    """Raises UsageError `<kind>-unknown` with the nearest name unless `name` is None or among them."""
    if name is None or name in among:
        return
    from aegis_plan.documents.nearest import meant

    listed = ", ".join(sorted(among)) or "none"
    raise UsageError(
        _UNKNOWN[kind],
        f"the documents have no such {kind}",
        f"there is no {kind} '{name}'",
        meant(name, among, f"declared: {listed}"),
    )


def make_plan(world: World, intent: Intent) -> Plan:
    """Looks at the world and plans what was asked for."""
    from aegis_plan.cli.version import version

    if intent.failed_at and datetime.fromisoformat(intent.failed_at) > world.clock.now() + CLOCKS_DIFFER:
        raise UsageError(
            "failure-ahead",
            "the time of the failure lies in the future",
            f"--failed-at gives {intent.failed_at}",
            "give the moment at which it broke, or leave it out where nobody knows it",
        )
    snapshot = world.observe(intent.stores or None, intent.sites_down, intent.beside)
    return plan_from(world.documents, world.digest, intent, snapshot, version())


def plan_from(documents: Documents, digest: str, intent: Intent, snapshot: Any, tool: str) -> Plan:
    """The pure part: the same documents, intent and snapshot always give the same plan."""
    from aegis_plan.repositories.collecting import uncollected

    # A plan of 10,000 steps took twice the time with the collector, which finds nothing in it.
    with uncollected():
        return _plan_from(documents, digest, intent, snapshot, tool)


def _plan_from(documents: Documents, digest: str, intent: Intent, snapshot: Any, tool: str) -> Plan:
    if intent.kind == "protect":
        from aegis_plan.plan.protect import plan_protection

        return plan_protection(documents, snapshot, digest, tool, intent)
    if intent.kind == "publish":
        from aegis_plan.plan.publishing import plan_publish

        return plan_publish(documents, snapshot, digest, tool, intent)
    if intent.kind == "backup":
        from aegis_plan.plan.backup import plan_backup

        return plan_backup(documents, snapshot, digest, tool, intent)
    if intent.kind == "prune":
        from aegis_plan.plan.prune import plan_prune

        return plan_prune(documents, snapshot, digest, tool, intent)
    if intent.kind == "verify":
        from aegis_plan.plan.verify import plan_verify

        return plan_verify(documents, snapshot, digest, tool, intent)
    if intent.kind == "hold":
        from aegis_plan.plan.hold import plan_hold

        return plan_hold(documents, snapshot, digest, tool, intent)
    if intent.kind == "rewrap":
        from aegis_plan.plan.rewrap import plan_rewrap

        return plan_rewrap(documents, snapshot, digest, tool, intent)
    if intent.kind == "escrow":
        from aegis_plan.plan.escrow import plan_escrow

        return plan_escrow(documents, snapshot, digest, tool, intent)
    from aegis_plan.plan.recover import plan_recovery

    return plan_recovery(documents, snapshot, intent, digest, tool)


def exit_code(plan: Plan, detailed: bool) -> int:
    """What a look at this plan means to a shell."""
    if plan.blocked:
        return EXIT_FAILED
    if plan.breached:
        return EXIT_BREACH
    return EXIT_CHANGES if detailed and plan.steps else 0
