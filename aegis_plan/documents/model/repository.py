"""Repositories, where backups go, and for whom what lies there is sealed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aegis_plan.documents.model.section import Section
from aegis_plan.documents.scalars import Flag, Name, Size


class LocalRepository(Section):
    kind: Literal["local"]
    site: Name
    path: str
    clean_up_after_copies: int | None = Field(default=None, ge=1)
    """The local copy of a set is removed once so many others are proved."""


class S3Repository(Section):
    kind: Literal["s3"]
    bucket: str
    prefix: str = ""
    region: str = ""
    endpoint: str = ""
    site: Name | None = None
    access_key: str = ""
    secret_key: str = ""
    """Secret references; default the SDK's own chain."""
    checksums: Literal["when_supported", "when_required"] = "when_supported"
    path_style: Flag | None = None
    part_size: Size = Field(default="16MiB", validate_default=True)
    ca: str = ""


class AzureRepository(Section):
    """Experimental: it is checked, and nothing is written there yet."""

    kind: Literal["azure"]
    container: str
    account: str = ""
    """Name of the storage account; its address follows from it."""
    endpoint: str = ""
    """Address of the blob service, where it is not Azure's own."""
    prefix: str = ""
    site: Name | None = None
    connection: str = ""
    """A secret reference to a connection string or a SAS address; default the SDK's own chain."""
    part_size: Size = Field(default="16MiB", validate_default=True)
    ca: str = ""


Repository = Annotated[LocalRepository | S3Repository | AzureRepository, Field(discriminator="kind")]


class Sealing(Section):
    recipients: tuple[str, ...] = ()
    """age recipients that can read backups."""
    recovery_recipient: str
    """The offline recovery recipient; everything is sealed to it too."""
    signers: dict[Name, str] = Field(default_factory=dict)
    """Site to `ed25519:<base64 public key>`."""
    former_signers: dict[Name, tuple[str, ...]] = Field(default_factory=dict)
    """Site, also one that is no more, to public keys that signed earlier and are believed still."""
    host_recipients: dict[Name, str] = Field(default_factory=dict)
    """Site to the age recipient of its host, for what the next backup needs to read."""
    minimum_copies: int = Field(default=1, ge=1)

    @property
    def believed(self) -> dict[str, tuple[str, ...]]:
        """Site to every public key whose signature under its name is believed, the present one first."""
        names = dict.fromkeys([*self.signers, *self.former_signers])
        return {
            name: (*((self.signers[name],) if name in self.signers else ()), *self.former_signers.get(name, ()))
            for name in names
        }
