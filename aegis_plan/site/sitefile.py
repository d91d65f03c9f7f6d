"""The site file: which site this host is, where it keeps its folder, and where its private keys are.

It holds references, never a key itself.
"""

from __future__ import annotations

import base64
import binascii
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from aegis_plan.actions.contract import SiteKeys
from aegis_plan.documents.scalars import Name
from aegis_plan.documents.secrets import references
from aegis_plan.errors import AegisError, Position

if TYPE_CHECKING:
    from aegis_plan.site.secrets import Resolver


@dataclass(frozen=True)
class SiteFile:
    """What a site file says, with its folder absolute."""

    site: str
    folder: Path
    signing_key: str
    """A secret reference, or empty."""
    identities: tuple[str, ...]
    path: Path


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    site: Name
    folder: str
    signing_key: str = ""
    identities: tuple[str, ...] = ()


_EXAMPLE = "'aegis keys new SITE' writes one; see 'aegis help sites'"


def load(path: Path) -> SiteFile:
    """Reads a site file. Raises AegisError `site-file-missing` and `site-file-invalid`."""
    path = path.absolute()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AegisError("site-file-missing", "there is no site file", f"{path} does not exist", _EXAMPLE) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise _invalid(f"{path}: {reason}") from None
    data = _parse(path, text)
    version = data.pop("aegis-site", None)
    if version != "v1":
        raise _invalid(f"{path}: it does not begin with 'aegis-site: v1'")
    try:
        form = _Form.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _invalid(f"{path}: {where}: {first['msg']}") from None
    for field, value in (("signing_key", form.signing_key), *(("identities", text) for text in form.identities)):
        _check_reference(path, field, value)
    return SiteFile(form.site, path.parent / form.folder, form.signing_key, form.identities, path)


def keys(file: SiteFile, secrets: Resolver) -> SiteKeys:
    """The private keys of the site.

    Raises AegisError `key-exposed` for a key file that others can read, `key-invalid`, `secret-unresolved`."""
    for value in (file.signing_key, *file.identities):
        _check_private(file, value)
    signing = None
    if file.signing_key:
        try:
            signing = base64.b64decode(secrets.text(file.signing_key).strip(), validate=True)
        except (binascii.Error, ValueError):
            signing = b""
        if len(signing) != 32:
            raise AegisError(
                "key-invalid",
                "a private key cannot be used",
                f"the signing key of {file.path} is not 32 bytes in base64",
                "'aegis keys new SITE' makes one",
            )
    found = [line for value in file.identities for line in identities_in(secrets.text(value), str(file.path))]
    return SiteKeys(signing, tuple(found))


def identities_in(text: str, where: str) -> list[str]:
    """The age secret keys in a text, or the one OpenSSH private key that it is. Raises AegisError `key-invalid`."""
    from aegis_plan.sealing.keys import public_identity

    lines = [line.strip() for line in text.splitlines()]
    found = [text] if "PRIVATE KEY-----" in text else [line for line in lines if line.startswith("AGE-SECRET-KEY-")]
    if not found:
        raise AegisError(
            "key-invalid",
            "a private key cannot be used",
            f"an identity of {where} holds no line that begins with AGE-SECRET-KEY-, and is no OpenSSH private key",
            "'aegis keys new SITE' makes one",
        )
    for one in found:
        try:
            public_identity(one)
        except AegisError as error:
            raise AegisError(
                "key-invalid", "a private key cannot be used", f"an identity of {where}: {error.detail}", error.hint
            ) from None
    return found


def identity_at(file: SiteFile, reference: str, secrets: Resolver) -> list[str]:
    """Further identities that a reference names, such as the recovery key for the time it is needed. Raises as
    `keys`."""
    _check_private(file, reference)
    return identities_in(secrets.text(reference), reference)


def _parse(path: Path, text: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        data = YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        position = Position(str(path), mark.line + 1, mark.column + 1) if mark else None
        raise _invalid(f"{path}: {error.problem or 'not YAML'}", position) from None
    except (YAMLError, ValueError, RecursionError):
        raise _invalid(f"{path}: not YAML") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise _invalid(f"{path}: it is not a map of names")
    return data


def _check_reference(path: Path, field: str, value: str) -> None:
    try:
        if not value or references(value):
            return
    except ValueError as error:
        raise _invalid(f"{path}: {field}: {error}") from None
    raise _invalid(f"{path}: {field} has to be a reference such as ${{file:keys/site.sign}}")


def _check_private(file: SiteFile, value: str) -> None:
    for reference in references(value):
        if reference.kind != "file":
            continue
        path = file.path.parent / str(reference.value)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # the resolver says why it cannot be read
        if mode & 0o077:
            raise AegisError(
                "key-exposed",
                "a private key can be read by others",
                f"{path} has mode {mode:04o}",
                f"chmod 600 {path}; make a new key when others may have read it",
            )


def _invalid(detail: str, position: Position | None = None) -> AegisError:
    return AegisError("site-file-invalid", "the site file makes no sense", detail, _EXAMPLE, position)
