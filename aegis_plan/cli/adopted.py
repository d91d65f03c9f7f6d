"""The documents that `aegis init --from` writes for a server that was looked at, as text. It opens no file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aegis_plan.stores.postgresql.adopt import Adopted, Other

SCHEMA_LINE = "# yaml-language-server: $schema=../schemas/aegis-v1.schema.json\n"
"""For editors: completion and help while one writes. The schema is written beside plans/."""
TODO = "/TODO/data-directory"


@dataclass(frozen=True)
class Written:
    """Text of each file by its name below plans/, and what the person has to do."""

    files: dict[str, str]
    variables: dict[str, str]
    """Environment variable to what it should hold, without the password."""


def documents(found: Adopted, system: str, store: str, site: str, role: str) -> Written:
    """`role` is the role that backups will use; it need not exist yet."""
    members, places, variables = _members(found, store, site, role)
    return Written(
        files={"system.yaml": _system(found, system, site, places), f"{store}.yaml": _store(found, store, members)},
        variables=variables,
    )


def slug(text: str) -> str:
    """A name as documents take it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")


def _system(found: Adopted, system: str, site: str, places: dict[str, str]) -> str:
    others = "".join(
        f"""\
  {name}:
    role: standby
    reach:
      ssh: aegis@{address}      # TODO: the account that aegis has on that host
"""
        for name, address in places.items()
    )
    reach = "local"
    comment = "this host: the server runs here"
    if not found.here:
        comment = f"TODO: the server at {found.host} is not on this host; this has to run there"
    return f"""\
{SCHEMA_LINE}\
# What this system may lose and how long it may be down. The manual: aegis help documents
aegis: v1

system:
  name: {system}
  timezone: {_zone(found.timezone)}      # schedules are read in it
  objectives:
    rto: 4h       # back within four hours,
    rpo: 15m      # having lost at most fifteen minutes

tiers:
  1:
    name: critical
    rto: 1h

sites:
  {site}:         # {comment}
    role: primary
    reach: {reach}
    file: ../site/{site}.yaml
{others}
repositories:
  local:
    kind: local
    site: {site}
    path: ../backups      # better on another disk than the server's
  # A copy that outlives this host:
  # offsite:
  #   kind: s3
  #   bucket: my-backups
  #   region: eu-central-1
  #   access_key: "${{env:BACKUP_ACCESS_KEY}}"
  #   secret_key: "${{env:BACKUP_SECRET_KEY}}"

state:
  authority: local      # better one that outlives this host, once there is one
"""


def _members(found: Adopted, store: str, site: str, role: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Text of the members, sites beyond the first with their addresses, and the variables to set."""
    variable = re.sub(r"[^A-Z0-9]+", "_", store.upper()).strip("_")
    variable = variable if variable[:1].isalpha() else f"DB_{variable}"
    first = f"{site}-1"
    text = _member(first, site, variable, _server(found))
    variables = {variable: _connection(found, role)}
    places: dict[str, str] = {}
    for number, other in enumerate(found.others, 2):
        where = site
        if other.address:
            where = next((name for name, address in places.items() if address == other.address), "")
            if not where:
                where = f"{site}-{len(places) + 2}"
                places[where] = other.address
        name = f"{where}-{number}"
        own = f"{variable}_{number}"
        port = f" port={other.port}" if other.port else ""
        variables[own] = f"host={other.address or '127.0.0.1'}{port or ' port=TODO'} user={role} dbname=postgres"
        text += _member(name, where, own, _unknown(found, other))
    if found.members_unsure:
        text += "      # TODO: other servers of this store may be there and did not show: name each as a member\n"
    return text, places, variables


def _member(name: str, site: str, variable: str, server: str) -> str:
    return f"""\
      {name}:
        site: {site}
        connection: "${{env:{variable}}}"      # never written here: a libpq string, with its password
        server:
{server}"""


def _server(found: Adopted) -> str:
    lines = [f"data_directory: {_text(found.data_directory)}"]
    if found.binaries:
        lines.append(f"binaries: {_text(found.binaries)}")
    else:
        lines += ["# TODO: the folder of postgres and pg_ctl on that host", "binaries: /TODO/binaries"]
    if found.run_as:
        lines.append(f"run_as: {found.run_as}")
    elif not found.here:
        lines.append("run_as: postgres      # TODO: the account that the server runs as")
    lines += _controlled(found)
    lines += [f"# to be looked at again: {one}" for one in found.unsure]
    return "".join(f"          {line}\n" for line in lines)


def _controlled(found: Adopted) -> list[str]:
    from aegis_plan.stores.postgresql.command_line import fields

    if isinstance(found.control, dict):
        return ["control:", *(f"  {word}: {json.dumps(words)}" for word, words in found.control.items())]
    if not found.here:
        lines = ["control: pg_ctl      # TODO: or systemd:UNIT, where systemd starts it"]
    else:
        lines = [f"control: {found.control}"]
    # Systemd and Debian's tool give again what they gave; pg_ctl gives what is written here.
    port, sockets, more = fields(found.command_line) if found.control == "pg_ctl" else (None, None, "")
    if port is not None:
        lines.append(f"port: {port}      # from its command line, as what follows")
    if sockets is not None:
        lines.append(f"socket_directory: {_text(sockets)}")
    options = " ".join(one for one in (found.options, more) if one)
    if options:
        lines.append(f"options: {_text(options)}")
    return lines


def _unknown(found: Adopted, other: Other) -> str:
    lines = [
        f"# TODO: {other.role} {other.name or other.address or 'of this host'}: SHOW data_directory on that server",
        f"data_directory: {TODO}",
    ]
    lines.append(f"binaries: {_text(found.binaries or '/TODO/binaries')}      # as on the first; look whether it is")
    lines.append(f"run_as: {found.run_as or 'postgres'}")
    lines.append("control: pg_ctl      # TODO: or systemd:UNIT, where systemd starts it")
    return "".join(f"          {line}\n" for line in lines)


def _store(found: Adopted, store: str, members: str) -> str:
    return f"""\
{SCHEMA_LINE}\
{_seen(found)}
aegis: v1

stores:
  {store}:
    engine: postgresql
    members:
{members}\
    backup:
      repositories: [local]
{_kinds(found)}\
      log:                            # what happened since; the server keeps it until a repository has it
        schedule: "*/5 * * * *"       # or `stream: true`, with 'aegis site run' as a service
        retain: 4 weeks

# services:
#   my-service:
#     tier: 1
#     uses: [{store}]
#     health:
#       http:
#         url: http://localhost:8080/healthz

scenarios:
  {store}-failure:                  # aegis plan --scenario {store}-failure
    disruption: store
    affects:
      stores: [{store}]
    strategy: restore
"""


def _kinds(found: Adopted) -> str:
    how = "all other nights" if found.major >= 17 else "all other nights; all is read, what changed is kept"
    return f"""\
      full:
        schedule: "0 2 * * 0"         # Sundays at two
        retain: 4 weeks
      incremental:
        schedule: "0 2 * * 1-6"       # {how}
        retain: 3 weeks               # no longer than the full that they need
"""


def _seen(found: Adopted) -> str:
    """What was seen, as comments: it is looked at anew each time, so nothing rests on it."""
    big = sorted(found.databases.items(), key=lambda pair: -(pair[1] or 0))
    lines = [
        f"A {'replica' if found.replica else 'primary'}, {found.said}, as it was seen at {found.where}.",
        f"size: {_amount(found.size)}" + (f" ({', '.join(f'{name} {_amount(size)}' for name, size in big[:5])})"),
        f"configuration: {found.config_file}, {found.hba_file}",
        f"settings: {', '.join(f'{name} {value}' for name, value in found.settings.items())}",
        f"data checksums: {'on' if found.checksums else 'off'}",
        f"archive_mode: {found.archive_mode}" + (_archiver(found) if found.archive_mode != "off" else ""),
    ]
    if found.tablespaces:
        lines.append(f"tablespaces: {', '.join(f'{name} at {place}' for name, place in found.tablespaces.items())}")
    for other in found.others:
        behind = f", {_amount(other.lag)} behind" if other.lag is not None else ""
        lines.append(f"{other.role}: {other.name or 'unnamed'} at {other.address or 'this host'}{behind}")
    return "\n".join("# " + line.replace("\n", " ") for line in lines)


def _archiver(found: Adopted) -> str:
    """The command itself may hold a secret: only its program is told."""
    program = found.archive_command.split()[0].rpartition("/")[2] if found.archive_command.split() else "nothing"
    return f", by {program}; aegis reads the log by its own slot and leaves that as it is"


def _connection(found: Adopted, role: str) -> str:
    """How the site should connect: over loopback where the server listens there."""
    host = found.host
    listening = {one.strip() for one in found.listen.split(",")}
    if found.here and {"*", "localhost", "127.0.0.1", "0.0.0.0"} & listening:  # noqa: S104 - what the server said
        host = "127.0.0.1"
    elif found.here and found.sockets:
        host = found.sockets
    return f"host={host} port={found.port} user={role} dbname=postgres"


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return "UTC"
    return name if re.fullmatch(r"[A-Za-z0-9_+/-]+", name) else "UTC"


def _text(value: str) -> str:
    """A scalar, quoted where YAML would read something else."""
    plain = re.fullmatch(r"[A-Za-z0-9/._+=-]+( [A-Za-z0-9/._+=-]+)*", value) and not value.startswith("-")
    return value if plain else json.dumps(value, ensure_ascii=False)


def _amount(count: int | None) -> str:
    from aegis_plan.report.terminal import amount

    return amount(count)
