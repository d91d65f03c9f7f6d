"""Where a restore goes: the member, its place on this host, the room there, and who else would be in the way. Pure."""

from __future__ import annotations

from aegis_plan.documents.model import Reach as SshReach
from aegis_plan.documents.scalars import sized
from aegis_plan.errors import AegisError
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.stores.contract import Ask
from aegis_plan.stores.postgresql.check import server as declared_server
from aegis_plan.stores.postgresql.facts import Seen
from aegis_plan.stores.postgresql.model import (
    Place,
    Server,
)
from aegis_plan.stores.problem import problem


def member_to_restore(ask: Ask, wanted: str | None, choices: list[str]) -> str | PlanFinding:
    """The member that takes the restore."""
    members = ask.store.members
    if wanted is not None:
        if wanted in members:
            return wanted
        return problem(
            ask,
            "error",
            "member-unknown",
            "the store has no such member",
            f"{ask.name} has {', '.join(members)}, not {wanted}",
            "name one of them with --member",
        )
    usable = [
        name
        for name, member in members.items()
        if member.site not in ask.sites_down and ask.documents.sites[member.site].reach == "local"
    ]
    standing = [name for name in members if members[name].site not in ask.sites_down]
    preferred = ask.store.preferred
    if preferred in (usable or standing):
        return str(preferred)
    for name in usable or standing:
        if len(members) > 1:
            why = "of those that this host can reach" if usable else "of those whose site is not down"
            choices.append(f"{ask.name}: {name} takes the restore, the first {why}")
        return name
    return problem(
        ask,
        "error",
        "no-place",
        "no server is left to take the restore",
        f"every member of {ask.name} is at a site that is down: {', '.join(sorted(set(ask.sites_down)))}",
        "declare a member at another site, or restore --beside a folder there",
    )


def place_of(ask: Ask, name: str, here: Seen | None, beside: str | None) -> Place | PlanFinding:
    member = ask.store.members[name]
    reach_ = ask.documents.sites[member.site].reach
    if isinstance(reach_, SshReach):
        return problem(
            ask,
            "error",
            "place-unreachable",
            "the place of the restore is on another host",
            f"{name} of {ask.name} is at site {member.site}, on {reach_.ssh}; this host cannot reach it",
            f"run 'aegis' on {reach_.ssh.rsplit('@', 1)[-1]}, or choose another member with --member",
        )
    if member.site in ask.sites_down:
        return problem(
            ask,
            "error",
            "place-unreachable",
            "the place of the restore is on another host",
            f"{name} of {ask.name} is at site {member.site}, which is down",
            "choose another member with --member",
        )
    try:
        server = declared_server(ask.store, name)
    except AegisError as error:
        return problem(ask, "error", error.code, error.summary, error.detail, error.hint)
    if server is None:
        return problem(
            ask,
            "error",
            "server-not-declared",
            "the documents do not say how the server runs",
            f"member {name} of {ask.name} has no 'server:' with data_directory and binaries",
            "add it; a restore has to know where data lies and how the server is started",
        )
    if here is not None and here.look.data_directory == "elsewhere" and beside is None:
        return problem(
            ask,
            "error",
            "place-unreachable",
            "the place of the restore is on another host",
            f"{server.data_directory} of {name} is not on this host"
            + (f" ({here.look.host})" if here.look.host else ""),
            f"run 'aegis' on the host of {name}, or restore --beside a folder here",
        )
    return Place(
        member=None if beside is not None else name,
        beside=beside,
        binaries=server.binaries,
        run_as=server.run_as,
        data_directory=beside if beside is not None else server.data_directory,
    )


def fate_without_room(
    ask: Ask, name: str, here: Seen | None, need: int, more: int, beside: str | None, server: Server
) -> PlanFinding | str | None:
    """What becomes of the old data before the restored data is staged, where there is no room for both: `no`, or the
    path to which it goes. None where there is room; a refusal where that is not allowed or does not help.

    `more` is what a restore may take beyond `need` at most: behind a removal a disk that fills is worse than a refusal
    before it."""
    free = here.look.free_bytes if here is not None else None
    if here is None or free is None or beside is not None or free >= need:
        return None
    keep = "no" if ask.give_up_old else ask.store.keep_old_data
    used = here.look.used_bytes if here.look.data_directory in ("readable", "damaged") else 0
    there = f"at {server.data_directory} on {name}"
    way = "restore --beside a folder on another disk"
    if used is not None and free + used < need + more:
        without = f", and only {sized(free + used)} would be without the old data" if used else ""
        return problem(
            ask,
            "error",
            "no-room",
            "there is no room for the restored data",
            f"{sized(need + more)} are needed {there}, {sized(free)} are free{without}",
            f"free {sized(need + more - free - used)} there, or {way}",
        )
    if keep == "beside":
        then = f", which leaves {sized(free + used)}" if used is not None else ""
        return problem(
            ask,
            "error",
            "no-room",
            "there is no room to stage the restored data beside the old",
            f"{sized(need)} are needed {there}, {sized(free)} are free",
            f"free {sized(need - free)} there, or {way}; or let the old data go first{then}: with keep_old_data: /PATH "
            "on another disk it is moved there and can be put back, with --give-up-old-data (or keep_old_data: no) it "
            "is removed for good, once all that is needed was proved and a person approved that step",
        )
    return keep


def in_the_way(ask: Ask, name: str, here: Seen | None) -> list[PlanFinding]:
    """What lies where data would be staged: a run that finds it there can only refuse, when time counts."""
    return [
        problem(
            ask,
            "error",
            "staging-occupied",
            "something lies where data would be staged",
            f"{path} on {name}",
            (f"run {run} put it there, and `aegis resume {run}` goes on with it; " if run else "look at it; ")
            + "when it is of no use, move it away, then plan again; or restore --beside a folder",
        )
        for path, run in (here.look.leftovers.items() if here is not None else ())
    ]


def refuses(ask: Ask, here: Seen | None, beside: str, need: int) -> list[PlanFinding]:
    """Why a folder beside cannot take restored data, as far as its host was seen."""
    seen = here.look.beside.get(beside) if here is not None else None
    if seen is None:
        return []
    if seen.occupied:
        way = "name a folder that does not exist"
        return [problem(ask, "error", "place-occupied", "the place beside is not empty", beside, way)]
    if seen.free_bytes is not None and seen.free_bytes < need:
        detail = f"{sized(need)} are needed at {beside}, {sized(seen.free_bytes)} are free"
        way = "name a folder on another disk"
        return [problem(ask, "error", "no-room", "there is no room for the restored data", detail, way)]
    return []


def others(ask: Ask, name: str) -> list[PlanFinding]:
    """Members that would be wrong beside the restored one."""
    found = []
    for member in ask.look.members:
        if member.member == name or member.site in ask.sites_down:
            continue
        if member.state == "primary":
            found.append(
                problem(
                    ask,
                    "error",
                    "primary-elsewhere",
                    "another member is primary",
                    f"{member.member} takes writes; a restore onto {name} would make a second primary",
                    f"restore onto it with --member {member.member}, or --beside a folder",
                )
            )
        elif member.state == "replica":
            found.append(
                problem(
                    ask,
                    "warning",
                    "replica-left-behind",
                    "a replica does not follow a restore",
                    f"{member.member} keeps the data from before; it has to be made anew afterwards",
                    "look whether it has newer data than the archive before you apply",
                )
            )
    return found
