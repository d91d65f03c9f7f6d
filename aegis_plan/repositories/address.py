"""The address of a repository in one line, as somebody types it who has nothing else: `file:///path`, `s3://bucket/prefix`,
`azure://account/container/prefix`. It connects to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from aegis_plan.documents.model import Repository
from aegis_plan.errors import UsageError

_ADAPTER: TypeAdapter[Repository] = TypeAdapter(Repository)
_OPTIONS = {
    "s3": ("region", "endpoint", "path_style", "checksums", "ca"),
    "azure": ("endpoint", "ca"),
    "local": (),
}
FORMS = "file:///PATH, s3://BUCKET/PREFIX?endpoint=URL&region=NAME or azure://ACCOUNT/CONTAINER/PREFIX"


def declared(address: str, site: str = "here", *, environment: Mapping[str, str] = os.environ) -> Repository:
    """What documents would say of it. Credentials are never part of an address: those of the SDK's own chain count,
    and of AZURE_STORAGE_CONNECTION_STRING where it is set. Raises UsageError `address-invalid`."""
    try:
        parts = urlsplit(address)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        if "@" in parts.netloc:
            raise _invalid(address.partition("://")[0], "credentials do not belong into an address")
        form = _form(address, parts.scheme, unquote(parts.netloc), unquote(parts.path), site, environment)
    except ValueError:
        raise _invalid(address, "it is no address") from None
    allowed = _OPTIONS[form["kind"]]
    for name in options:
        if name not in allowed:
            raise _invalid(address, f"'{name}' is no option of it" + (f"; {', '.join(allowed)} are" if allowed else ""))
    try:
        return _ADAPTER.validate_python({**form, **options})
    except ValidationError as error:
        raise _invalid(address, str(error.errors(include_url=False, include_input=False)[0]["msg"])) from None


def _form(address: str, scheme: str, host: str, path: str, site: str, environment: Mapping[str, str]) -> dict[str, Any]:
    if scheme == "" or (scheme == "file" and host in ("", "localhost")):
        if not path or (scheme == "file" and not path.startswith("/")):
            raise _invalid(address, "it names no folder")
        return {"kind": "local", "site": site, "path": str(Path(path).expanduser().absolute())}
    if scheme == "s3":
        if not host:
            raise _invalid(address, "it names no bucket")
        return {"kind": "s3", "bucket": host, "prefix": path.strip("/")}
    if scheme == "azure":
        container, _, prefix = path.strip("/").partition("/")
        if not container:
            raise _invalid(address, "it names no container")
        connection = "AZURE_STORAGE_CONNECTION_STRING"
        return {
            "kind": "azure",
            "account": host,
            "container": container,
            "prefix": prefix,
            "connection": f"${{env:{connection}}}" if environment.get(connection) else "",
        }
    raise _invalid(address, f"'{scheme}' is no kind of repository")


def _invalid(address: str, why: str) -> UsageError:
    return UsageError(
        "address-invalid", "an address of a repository makes no sense", f"{address}: {why}", f"write {FORMS}"
    )
