"""The documents of the demo: a small part of Aegis, the system of the source plan, with the stores that are there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from aegis_plan.cli.demo.cast import Cast
from aegis_plan.cli.demo.object_stores import BUCKET
from aegis_plan.cli.demo.vectors import COLLECTION

SITE = "seoul"
STORE = "policy-db"
GRAPH = "policy-graph"
VECTORS = "policy-vectors"
SCENARIO = "database-failure"


def write(folder: Path, cast: Cast) -> None:
    """Writes `plans/` for the servers, their secrets, and makes the folder of the repositories."""
    for part in ("plans", "repositories", "site/secrets"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    secrets = folder / "site" / "secrets"
    secrets.chmod(0o700)
    found: dict[str, str] = {}
    for store in (cast.s3, cast.azure):
        if store is not None:
            found |= store.secrets
    if cast.neo4j is not None:
        found["neo4j-password"] = cast.neo4j.server.password
    for name, value in found.items():
        (secrets / name).touch(mode=0o600)
        (secrets / name).write_text(value)
    texts = {
        "system.yaml": ("What Aegis is: what may be lost, how long it may be down.", _system(cast)),
        "stores.yaml": ("The databases: where they are, how they are backed up, where the backups go.", _stores(cast)),
        "scenarios.yaml": ("What may happen, and what is expected then.", _scenarios(cast)),
    }
    for name, (comment, content) in texts.items():
        (folder / "plans" / name).write_text(f"# {comment}\naegis: v1\n\n{_yaml(content)}", encoding="utf-8")


def repositories(cast: Cast) -> list[str]:
    """Where backups go, the nearest first."""
    away = [name for name, store in (("s3-seoul", cast.s3), ("azure-korea", cast.azure)) if store is not None]
    return ["seoul", *(away or ["busan"])]


def stores(cast: Cast) -> list[str]:
    return [
        STORE,
        *([GRAPH] if cast.neo4j is not None else []),
        *([VECTORS] if cast.milvus is not None else []),
    ]


def _system(cast: Cast) -> dict[str, Any]:
    assert cast.postgresql is not None
    psql = [str(cast.postgresql.binaries / "psql"), "-h", str(cast.postgresql.sockets), "-U", "aegis", "-d", "postgres"]

    def asked(query: str) -> dict[str, Any]:
        return {"command": {"run": [*psql, "-qtAc", query]}, "within": "30s"}

    services: dict[str, Any] = {
        "user-authentication": {
            "tier": 1, "owner": "security", "uses": [STORE], "health": asked("SELECT 1 FROM policy LIMIT 1"),
        },
        "policy-search": {
            "tier": 2,
            "owner": "search",
            "uses": [STORE, *([VECTORS] if cast.milvus is not None else [])],
            "health": asked("SELECT count(*) FROM policy"),
        },
    }  # fmt: skip
    if cast.neo4j is not None:
        services["recommendation-engine"] = {"tier": 2, "owner": "recommendations", "uses": [GRAPH]}
    first, *others = repositories(cast)
    alone = stores(cast) == [STORE]
    return {
        "system": {
            "name": "aegis",
            "timezone": "Asia/Seoul",
            "objectives": {"rto": "4h", "rpo": "15m" if alone else "24h", "mttr": "2h", "availability": "99.9%"},
        },
        "state": {"authority": first, "mirrors": others},
        "tiers": {
            "1": {"name": "critical", "rto": "1h", "rpo": "15m"},
            "2": {"name": "important", "rto": "2h"},
        },
        "sites": {SITE: {"role": "primary", "reach": "local", "file": "../site/seoul.yaml"}},
        "services": services,
    }


def _stores(cast: Cast) -> dict[str, Any]:
    server = cast.postgresql
    assert server is not None
    used = repositories(cast)
    found: dict[str, Any] = {
        STORE: {
            "engine": "postgresql",
            "members": {
                "seoul-1": {
                    "site": SITE,
                    "connection": server.connection,
                    "server": {
                        "data_directory": str(server.data),
                        "binaries": str(server.binaries),
                        "log_file": str(server.log),
                        "control": "pg_ctl",
                        **({"run_as": server.user} if server.user else {}),
                        "socket_directory": str(server.sockets),
                        "port": 5432,
                    },
                }
            },
            "backup": {
                "repositories": used,
                "full": {"schedule": "0 2 * * 0", "retain": "4 weeks"},
                "incremental": {"schedule": "0 2 * * 1-6", "retain": "1 week"},
                "log": {"schedule": "*/5 * * * *", "retain": "4 weeks"},
            },
        }
    }
    if cast.neo4j is not None:
        found[GRAPH] = {
            "engine": "neo4j",
            "members": {
                "seoul-graph": {
                    "site": SITE,
                    "connection": cast.neo4j.server.connection,
                    "server": {
                        "home": str(cast.neo4j.home),
                        "password": "${file:secrets/neo4j-password}",
                    },
                }
            },
            "backup": {"repositories": used, "full": {"schedule": "0 */6 * * *", "retain": "7 days"}},
        }
    if cast.milvus is not None:
        found[VECTORS] = {
            "engine": "milvus",
            "members": {
                "seoul-vectors": {
                    "site": SITE,
                    "connection": str(cast.milvus.path),
                    "server": {"mode": "lite", "collections": [COLLECTION]},
                }
            },
            "backup": {"repositories": used, "full": {"schedule": "30 */6 * * *", "retain": "7 days"}},
        }
    return {"stores": found, "repositories": _repositories(cast)}


def _repositories(cast: Cast) -> dict[str, Any]:
    found: dict[str, Any] = {"seoul": {"kind": "local", "site": SITE, "path": "../repositories/seoul"}}
    if cast.s3 is not None:
        found["s3-seoul"] = {
            "kind": "s3",
            "bucket": BUCKET,
            "endpoint": cast.s3.endpoint,
            "region": "us-east-1",
            "path_style": "true",
            "access_key": "${file:secrets/s3-access}",
            "secret_key": "${file:secrets/s3-secret}",
        }
    if cast.azure is not None:
        found["azure-korea"] = {
            "kind": "azure",
            "container": BUCKET,
            "connection": "${file:secrets/azure-connection}",
        }
    if len(found) == 1:
        found["busan"] = {"kind": "local", "site": SITE, "path": "../repositories/busan"}
    return found


def _scenarios(cast: Cast) -> dict[str, Any]:
    return {
        "scenarios": {
            SCENARIO: {
                "disruption": "store",
                "affects": {"stores": stores(cast)},
                "strategy": "restore",
                "expect": {"rto": "1h", "rpo": "24h" if len(stores(cast)) > 1 else "15m"},
            }
        }
    }


def _yaml(content: dict[str, Any]) -> str:
    """As a person would write it: small maps and lists on one line."""
    from ruamel.yaml import YAML

    writer: Any = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False
    writer.representer.ignore_aliases = lambda _content: True
    writer.width = 4096
    text = io.StringIO()
    for name, section in content.items():
        writer.dump({name: section}, text)
        text.write("\n")
    return text.getvalue().rstrip("\n") + "\n"
