"""Writes what a person goes by who has no Aegis Plan: a readable page on how to begin, and a sealed runbook with the
real addresses, folders and commands of a system. It opens no file but its own templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import jinja2

from aegis_plan.documents.model import AzureRepository, Documents, LocalRepository, Repository

START = "START-HERE.md"
_ENVIRONMENT = jinja2.Environment(undefined=jinja2.ChainableUndefined, keep_trailing_newline=True, autoescape=False)


def program() -> bytes:
    """The stand-alone program."""
    return resources.files("aegis_plan.standalone").joinpath("unseal.py").read_bytes()


def refills(documents: Documents) -> dict[str, bytes]:
    """The programs that put what was opened into servers, for the engines of the documents that have one."""
    found = {}
    for engine in sorted({store.engine for store in documents.stores.values()}):
        if (path := _own(engine, "refill.py")) is not None:
            found[f"refill-{engine}.py"] = path.read_bytes()
    return found


def _own(engine: str, name: str) -> Traversable | None:
    """A file of an engine; None where it has none of that name."""
    try:
        path = resources.files(f"aegis_plan.stores.{engine}").joinpath(name)
    except ModuleNotFoundError:
        return None
    return path if path.is_file() else None


def start(system: str, number: int, tool: str, unseal: Mapping[str, str], wheels: int, platform: str) -> str:
    """The page that anybody who reads the repository can read. `unseal` has key and digest of the program."""
    return _render(
        "aegis_plan.standalone", "start-here.md", system=system, number=number, tool=tool, unseal=unseal,
        wheels=wheels, platform=platform,
    )  # fmt: skip


def runbook(documents: Documents, number: int) -> str:
    """The sealed part."""
    tiers: dict[int, list[str]] = {}
    for name, service in documents.services.items():
        uses = f" (uses {', '.join(service.uses)})" if service.uses else ""
        tiers.setdefault(service.tier, []).append(name + uses)
    return _tidy(
        _render(
            "aegis_plan.standalone",
            "runbook.md",
            system=documents.system.name,
            number=number,
            repositories=[(name, _brought(one)) for name, one in documents.repositories.items()],
            tiers=[(tier, "; ".join(sorted(names))) for tier, names in sorted(tiers.items())],
            stores=[(name, _store(documents, name)) for name in documents.stores],
        )
    )


def _store(documents: Documents, name: str) -> str:
    """An engine that has a page of its own says how; all others are unsealed alike."""
    store = documents.stores[name]
    member_name = store.preferred or next(iter(store.members), "")
    return _render(
        f"aegis_plan.stores.{store.engine}" if _own(store.engine, "by-hand.md") else "aegis_plan.standalone",
        "by-hand.md",
        name=name,
        store=store,
        member_name=member_name,
        member=store.members.get(member_name),
    )


def _brought(declared: Repository) -> tuple[str, str]:
    """Kind, and the command that brings its objects."""
    if isinstance(declared, LocalRepository):
        return "local", f"at the host of {declared.site}: `cp -a {declared.path} repository`"
    if isinstance(declared, AzureRepository):
        where = f" --account-name {declared.account}" if declared.account else ""
        pattern = f"{declared.prefix.strip('/')}/v1/*" if declared.prefix.strip("/") else "v1/*"
        fetch = f"az storage blob download-batch -d repository -s {declared.container}{where} --pattern '{pattern}'"
        return "azure", f"`{fetch}`"
    more = f" --endpoint-url {declared.endpoint}" if declared.endpoint else ""
    more += f" --region {declared.region}" if declared.region else ""
    source = "/".join(part for part in (declared.bucket, declared.prefix.strip("/")) if part)
    return "s3", f"`aws s3 sync s3://{source} repository{more}`"


def _render(package: str, template: str, /, **values: Any) -> str:
    text = resources.files(package).joinpath(template).read_text(encoding="utf-8")
    return _ENVIRONMENT.from_string(text).render(**values)


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text)
