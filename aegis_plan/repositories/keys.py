"""The layout of keys in a repository: the only place that spells them."""

from __future__ import annotations

ROOT = "v1"
FOR_HOSTS = ("manifest", "pages")


def stores_root(system: str) -> str:
    """Prefix under which each store has its name."""
    return f"{ROOT}/{system}/stores/"


def store_root(system: str, store: str) -> str:
    """Prefix of all that belongs to one store, over all lineages."""
    return f"{stores_root(system)}{store}/"


def lineage_root(system: str, store: str, lineage: str) -> str:
    return f"{store_root(system, store)}{lineage}/"


def set_object(system: str, store: str, lineage: str, set_id: str, name: str) -> str:
    return f"{lineage_root(system, store, lineage)}sets/{set_id}/{name}"


def record(system: str, store: str, lineage: str, record_id: str) -> str:
    return f"{lineage_root(system, store, lineage)}records/{record_id}.json"


def data_key(system: str, store: str, lineage: str, key: str, generation: int) -> str:
    """Where the wrapped forms of a data key lie; a rotation adds a generation."""
    return f"{data_key_prefix(system, store, lineage, key)}{generation:04d}.json"


def data_key_prefix(system: str, store: str, lineage: str, key: str) -> str:
    """What the keys of all generations of a data key begin with."""
    return f"{lineage_root(system, store, lineage)}keys/{key}."


def generation(key: str) -> tuple[str, int] | None:
    """What the keys of all generations of a data key begin with, and which one this is; None where it is none."""
    prefix, _, number = key.removesuffix(".json").rpartition(".")
    return (prefix + ".", int(number)) if key.endswith(".json") and number.isascii() and number.isdigit() else None


def state_root(system: str) -> str:
    return f"{ROOT}/{system}/state/"


def lease(system: str, store: str, aspect: str) -> str:
    return f"{state_root(system)}leases/{store}.{aspect}.json"


def same_storage(system: str, mark: str) -> str:
    """A mark that is written to one repository for a moment, to see whether it shows up in another."""
    return f"{state_root(system)}same/{mark}"


def check(system: str, site: str) -> str:
    """What `aegis check --write` writes for a moment, one key a site."""
    return f"{state_root(system)}check/{site}.json"


def used_plan(system: str, digest: str) -> str:
    return f"{state_root(system)}plans/{digest}.json"


def run_plan(system: str, run: str) -> str:
    """The plan that a run carries out, sealed."""
    return f"{state_root(system)}runs/{run}/plan"


def run_entries(system: str, run: str, first: int, last: int) -> str:
    """Mirror of some lines of a journal, both ends included, sealed. Objects of two lives may overlap, never differ."""
    return f"{state_root(system)}runs/{run}/{first:08d}-{last:08d}"


SYSTEM_ROOM = "_system"
"""Where records lie that are of no store. A name never begins with an underscore, so that no store has this one."""


def system_root(system: str) -> str:
    """Prefix of all that is of the system as a whole."""
    return f"{ROOT}/{system}/{SYSTEM_ROOM}/"


def publication_root(system: str) -> str:
    return f"{system_root(system)}publications/"


def publication(system: str, number: int) -> str:
    """The signed manifest of one publication of the documents."""
    return f"{publication_root(system)}{number:08d}.json"


def publication_documents(system: str, number: int, digest: str) -> str:
    """The sealed documents of a publication; its digest is in the name, so that what a killed attempt left is in
    nobody's way."""
    return f"{publication_root(system)}{number:08d}.{digest[:16]}.age"


def beside(system: str, digest: str, name: str) -> str:
    """Something that lies beside the documents for a machine that has nothing: by content, so that it is there once."""
    return f"{system_root(system)}beside/{digest[:16]}/{name}"


def repository_name(system: str, name: str) -> str:
    """Says by its key alone how the documents call the repository that it lies in."""
    return f"{system_root(system)}called/{name}"


SYSTEMS = f"{ROOT}/_systems/"
"""One small object for each system that was published: a whole bucket need not be listed to learn their names."""


def system_mark(system: str) -> str:
    return f"{SYSTEMS}{system}"


def escrow_root(system: str) -> str:
    """Where the values of secret references lie, sealed to the recovery recipient alone."""
    return f"{system_root(system)}escrow/"


def escrow(system: str, identity: str) -> str:
    return f"{escrow_root(system)}{identity}.json"


def schedule_root(system: str) -> str:
    """Prefix of the records of what was due, done and missed; the next part of a key is the day, in UTC."""
    return f"{system_root(system)}schedule/"


def schedule_record(system: str, day: str, record_id: str) -> str:
    return f"{schedule_root(system)}{day}/{record_id}.json"


def for_hosts(name: str) -> bool:
    """Whether an object of a set, by its name there, is sealed with the half of the data key that backup hosts may
    open: the next backup builds on it."""
    return name.partition(".")[0] in FOR_HOSTS
