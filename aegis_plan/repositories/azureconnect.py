"""How one gets into a container of Azure: by a connection string, a shared access signature, an account key, or the
chain of azure-identity. It sends nothing yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from aegis_plan.documents.model import AzureRepository as Declared
from aegis_plan.errors import AegisError

CHUNK = 4 << 20
"""Bytes of one ranged read of a large object. A read that breaks off goes on behind the last whole one."""


def connect(
    name: str,
    declared: Declared,
    identity: Any,
    resolve: Callable[[str], str],
    *,
    connect_seconds: float,
    read_seconds: float,
) -> Any:
    """The SDK's client of the container for one identity: something with `connection`, `sas` and `account_key`.

    Raises AegisError `repository-misdeclared` and what `resolve` raises."""
    from azure.storage.blob import ContainerClient

    options: dict[str, Any] = {
        # One policy of retries, ours: the SDK's own would multiply with it and cannot be stopped.
        "retry_total": 0,
        "connection_timeout": connect_seconds,
        "read_timeout": read_seconds,
        "max_single_put_size": max(64 << 20, declared.part_size),
        "max_single_get_size": CHUNK,
        "max_chunk_get_size": CHUNK,
        "connection_verify": declared.ca or True,
    }
    proxy = resolve(declared.proxy)
    if proxy:
        options["proxies"] = {"http": proxy, "https": proxy}
    connection = resolve(identity.connection).strip() if identity.connection else ""
    if connection.lower().startswith(("http://", "https://")):
        return _by_address(connection, declared.container, options)
    if connection:
        return ContainerClient.from_connection_string(connection, declared.container, **options)
    endpoint = declared.endpoint.rstrip("/") or (
        f"https://{declared.account}.blob.core.windows.net" if declared.account else ""
    )
    if not endpoint:
        raise AegisError(
            "repository-misdeclared",
            "a repository cannot be used as it is declared",
            f"{name}: neither a connection nor an account nor an endpoint is given",
            "give `connection: ${env:...}`, or `account` and one of `account_key`, `sas` or azure-identity",
        )
    credential: Any = None
    if identity.sas:
        credential = resolve(identity.sas).strip().lstrip("?")
    elif identity.account_key:
        account = declared.account or urlsplit(endpoint).hostname or ""
        credential = {"account_name": account.partition(".")[0], "account_key": resolve(identity.account_key).strip()}
    else:
        credential = _chain(name)
    return ContainerClient(endpoint, declared.container, credential=credential, **options)


def _by_address(address: str, container: str, options: dict[str, Any]) -> Any:
    """By an address with its signature, of the account or of the container itself."""
    from azure.storage.blob import ContainerClient

    parts = urlsplit(address)
    if parts.path.rstrip("/").rpartition("/")[2] == container:
        return ContainerClient.from_container_url(address, **options)
    account = parts._replace(query="").geturl().rstrip("/")
    return ContainerClient(account, container, credential=parts.query or None, **options)


def _chain(name: str) -> Any:
    """Whatever identity the machine has: environment, managed identity, a login by hand."""
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise AegisError(
            "azure-identity-missing",
            "the machine's own identity at Azure cannot be asked for",
            f"{name}: no connection, key or signature is given, and azure-identity is not installed",
            "pip install 'aegis-plan[azure]', or give `connection: ${env:...}`",
        ) from None
    return DefaultAzureCredential()
