"""Repositories, where backups go, and for whom what lies there is sealed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aegis_plan.documents.model.section import Section
from aegis_plan.documents.scalars import Flag, Name, Size


class LocalRepository(Section):
    kind: Literal["local"]
    site: Name
    """The site whose host has the folder."""
    path: str
    """The folder."""
    clean_up_after_copies: int | None = Field(default=None, ge=1)
    """The local copy of a set is removed once so many others are proved."""


class S3Identity(Section):
    access_key: str
    """A secret reference."""
    secret_key: str
    """A secret reference."""


class ObjectLock(Section):
    mode: Literal["governance", "compliance"]
    """`compliance` lets nobody remove a locked object, not even the owner of the account."""


class S3Repository(Section):
    kind: Literal["s3"]
    bucket: str
    """Name of the bucket."""
    prefix: str = ""
    """What every key begins with."""
    region: str = ""
    """Region of the bucket."""
    endpoint: str = ""
    """Address of the server, where it is not AWS."""
    site: Name | None = None
    """Where it stands, so that a plan knows what is lost with a site."""
    access_key: str = ""
    """A secret reference; default the SDK's own chain."""
    secret_key: str = ""
    """A secret reference; default the SDK's own chain."""
    checksums: Literal["when_supported", "when_required"] = "when_supported"
    """`when_required` for servers that refuse the newer checksums."""
    read: S3Identity | None = None
    """Another identity that only reads, for hosts that restore and verify; default the one that writes."""
    prune: S3Identity | None = None
    """Another identity to remove what expired; the one above then needs no right to delete."""
    object_lock: ObjectLock | None = None
    """Backups are locked for as long as they are kept; the bucket was made with Object Lock."""
    path_style: Flag | None = None
    """Whether the bucket stands in the path and not in the name of the host."""
    part_size: Size = Field(default="8MiB", validate_default=True)
    """Size of the parts of one upload."""
    ca: str = ""
    """File with the certificates that are trusted."""
    proxy: str = ""
    """Address of an HTTP proxy; default what the environment says."""
    bandwidth: Size | None = None
    """Bytes a second that are written there, at most."""


class AzureIdentity(Section):
    connection: str = ""
    """A secret reference to a connection string, or to an address with its signature (SAS)."""
    sas: str = ""
    """A secret reference to a shared access signature, beside `account` or `endpoint`."""
    account_key: str = ""
    """A secret reference to a key of the account."""


class AzureRepository(Section):
    kind: Literal["azure"]
    container: str
    """Name of the container."""
    account: str = ""
    """Name of the storage account; its address follows from it."""
    endpoint: str = ""
    """Address of the blob service, where it is not Azure's own."""
    prefix: str = ""
    """What every name begins with."""
    site: Name | None = None
    """Where it stands, so that a plan knows what is lost with a site."""
    connection: str = ""
    """A secret reference to a connection string, or to an address with its signature (SAS)."""
    sas: str = ""
    """A secret reference to a shared access signature, beside `account` or `endpoint`."""
    account_key: str = ""
    """A secret reference to a key of the account; without any of the three azure-identity is asked."""
    read: AzureIdentity | None = None
    """Another identity that only reads, for hosts that restore and verify; default the one that writes."""
    prune: AzureIdentity | None = None
    """Another identity to remove what expired; the one above then needs no right to delete."""
    part_size: Size = Field(default="8MiB", validate_default=True)
    """Size of the blocks of one upload."""
    ca: str = ""
    """File with the certificates that are trusted."""
    proxy: str = ""
    """Address of an HTTP proxy; default what the environment says."""
    bandwidth: Size | None = None
    """Bytes a second that are written there, at most."""


Repository = Annotated[LocalRepository | S3Repository | AzureRepository, Field(discriminator="kind")]


class Sealing(Section):
    recipients: tuple[str, ...] = ()
    """age recipients that can read backups."""
    recovery_recipient: str
    """The offline recovery recipient; everything is sealed to it too."""
    holders: dict[Name, str] = Field(default_factory=dict)
    """Whose recipient is which, for lists and the recovery sheet: a person or a place to one of the recipients."""
    signers: dict[Name, str] = Field(default_factory=dict)
    """Site to `ed25519:<base64 public key>`."""
    former_signers: dict[Name, tuple[str, ...]] = Field(default_factory=dict)
    """Site, also one that is no more, to public keys that signed earlier and are believed still."""
    host_recipients: dict[Name, str] = Field(default_factory=dict)
    """Site to the age recipient of its host, for what the next backup needs to read."""
    vouchers: tuple[str, ...] = ()
    """What holders of private keys said of signers, so that a machine that has nothing believes them by its key."""
    minimum_copies: int = Field(default=1, ge=1)
    """How many repositories have to hold a backup for it to count."""

    def holder(self, recipient: str) -> str:
        """Who has the private half, as far as the documents say; empty where they do not."""
        names = [name for name, held in self.holders.items() if held == recipient]
        names += [f"host of {site}" for site, held in self.host_recipients.items() if held == recipient]
        names += ["recovery"] if recipient == self.recovery_recipient else []
        return ", ".join(names)

    @property
    def believed(self) -> dict[str, tuple[str, ...]]:
        """Site to every public key whose signature under its name is believed, the present one first."""
        names = dict.fromkeys([*self.signers, *self.former_signers])
        return {
            name: (*((self.signers[name],) if name in self.signers else ()), *self.former_signers.get(name, ()))
            for name in names
        }
