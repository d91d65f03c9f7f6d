"""What is missing, though the documents are valid: backups, users, owners, health checks, ways to start. It never asks
whether what is there works."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope
from aegis_plan.documents.lint.words import listed
from aegis_plan.documents.tree import dotted


@rule("to-do-left", "warning", "a value has still to be filled in")
def to_do_left(scope: Scope) -> Iterator[Wrong]:
    for path, text in scope.root.texts():
        if "TODO" in text and path[0] != "accepted":
            yield Wrong(path, f"{dotted(path)} says {text}", "the comment beside it says what belongs there")


@rule("store-unused", "note", "no service uses this store")
def store_unused(scope: Scope) -> Iterator[Wrong]:
    for name in scope.documents.stores if scope.documents.services else ():
        if name not in scope.users:
            yield Wrong(
                ("stores", name),
                f"'{name}' takes the lowest tier, since nothing says how critical it is",
                "name it below 'uses' of the services that need it",
                key=True,
            )


@rule("store-unprotected", "warning", "no backup is declared for this store")
def store_unprotected(scope: Scope) -> Iterator[Wrong]:
    for name, store in scope.documents.stores.items():
        if store.backup is None:
            yield Wrong(
                ("stores", name),
                f"'{name}' cannot be brought back from a disaster",
                "add 'backup:' with repositories and schedules",
                key=True,
            )


@rule("standby-without-store", "warning", "services would take over at a site that does not have their stores")
def standby_without_store(scope: Scope) -> Iterator[Wrong]:
    sites = scope.documents.sites
    for name in (one for one, site in sites.items() if site.role == "standby"):
        users: dict[str, list[str]] = {}
        for service, declared in scope.documents.services.items():
            if name in declared.runs_at:
                for used in declared.uses:
                    users.setdefault(used, []).append(service)
        for store, declared_store in scope.documents.stores.items():
            places = {member.site for member in declared_store.members.values()}
            if store in users and places and all(sites[place].role == "primary" for place in places):
                yield Wrong(
                    ("sites", name),
                    f"{listed(users[store])} may run at {name} and use{'s' * (len(users[store]) == 1)} {store}, which "
                    f"has members at {listed(sorted(places))} only",
                    f"add a member at {name}, also an empty server that takes a restore; or let them not run there",
                    key=True,
                )


@rule("backup-unscheduled", "warning", "no whole backup is made by itself")
def backup_unscheduled(scope: Scope) -> Iterator[Wrong]:
    for name, _, backup in scope.backups():
        if backup.full is None or backup.full.schedule is None:
            yield Wrong(
                ("stores", name, "backup"),
                f"{name} has no 'full' with a schedule, and a restore begins with a full backup",
                "add 'full: {schedule: \"0 2 * * 0\"}'",
                key=True,
            )


@rule("service-without-owner", "warning", "nobody answers for this service")
def service_without_owner(scope: Scope) -> Iterator[Wrong]:
    for name, service in scope.documents.services.items():
        if not service.owner:
            yield Wrong(
                ("services", name),
                f"'{name}' has no owner to ask when it does not come back",
                "add 'owner:' with a role of the team, or a name",
                key=True,
            )


@rule("service-without-health", "warning", "nothing says when this service is well")
def service_without_health(scope: Scope) -> Iterator[Wrong]:
    for name, service in scope.documents.services.items():
        if service.health is None or not (service.health.http or service.health.tcp or service.health.command):
            yield Wrong(
                ("services", name),
                f"nobody sees whether '{name}' serves again, and what uses it does not wait for it",
                "add 'health:' with http, tcp or command",
                key=True,
            )


@rule("service-without-start", "warning", "nothing starts this service")
def service_without_start(scope: Scope) -> Iterator[Wrong]:
    for name, service in scope.documents.services.items():
        if service.start is None and not service.managed_by:
            yield Wrong(
                ("services", name),
                f"no plan brings '{name}' up again",
                "add 'start:' with its command, or 'managed_by:' with what else starts it",
                key=True,
            )
