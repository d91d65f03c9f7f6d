"""What an account may do in a repository, and what it lacks for backups. It leaves nothing there unless it is told to
write."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from aegis_plan.documents.model import AzureRepository, LocalRepository, S3Repository
from aegis_plan.documents.model import Repository as Declared
from aegis_plan.errors import AegisError, LockedError, UnavailableError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.folders import owner, read_only
from aegis_plan.requirement import Requirement, unverified

_BACKUP = ("full", "incremental", "log", "stream")
_TAG = '"00000000000000000000000000000000"'
"""The version mark of no object: a write on its condition is refused by a service that keeps conditions."""
_FEWEST_INODES = 64
"""A backup makes a handful of files; with less than that it ends in the midst."""
_AZURE_RIGHTS = (
    "give the identity 'Storage Blob Data Contributor' on the container, or a signature with the rights r, c, w and l, "
    "and d where it prunes"
)
_APART = "who writes cannot remove"
_FIRST, _SECOND = b'{"aegis": "check"}\n', b'{"aegis": "check again"}\n'


def permissions(
    repository: Repository, declared: Declared, system: str, site: str, *, write: bool
) -> list[Requirement]:
    """What `site` may do there. With `write` an object is written, written again, read and removed."""
    return list(_Check(repository, declared, system, site).all(write))


def free(path: str) -> int | None:
    """Bytes that a local repository may still take; None where nobody can say."""
    for folder in (Path(path), *Path(path).parents):
        try:
            room = os.statvfs(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return room.f_bavail * room.f_frsize
    return None


class _Check:
    def __init__(self, repository: Repository, declared: Declared, system: str, site: str) -> None:
        self.repository, self.declared = repository, declared
        self.name, self.site = repository.name, site
        self.subject = f"repositories/{repository.name}"
        self.key = keys.check(system, site)

    def all(self, write: bool) -> Iterator[Requirement]:
        if isinstance(self.declared, LocalRepository):
            path = Path(self.declared.path)
            try:
                fine = yield from self._folder(path)
            except OSError as error:
                why = os.strerror(error.errno) if error.errno else "it cannot be looked at"
                yield unverified(
                    "repository-folder-denied", f"{self.site}: {path} can be read and written", f"{path}: {why}",
                    self.subject, needed_for=(*_BACKUP, "restore"),
                    hint="name a folder that the account of the site can look at",
                )  # fmt: skip
                return
            if not fine:
                return
        listing = self._list()
        yield listing
        if listing.detail and listing.state == "could_not_verify":
            return  # it does not answer: no other question would get another one
        yield self._get()
        if write:
            yield from self._write()
        elif not isinstance(self.declared, LocalRepository):
            yield self._conditional()
            yield self._one(
                "repository-delete-denied", "could_not_verify", "objects can be removed", (), severity="note",
                detail="removing is not tried on a look", hint="aegis check --write tries it",
            )  # fmt: skip

    def _one(self, code: str, state: Any, summary: str, needed: tuple[str, ...], **more: Any) -> Requirement:
        if state != "ok" and isinstance(self.declared, S3Repository):
            more.setdefault("policy", policy(self.declared))
        if state == "ok":
            more = {}
        return Requirement(
            code=code, state=state, summary=f"{self.site}: {summary}", subject=self.subject, needed_for=needed, **more
        )

    def _try(self, code: str, summary: str, needed: tuple[str, ...], action: Callable[[], object]) -> Requirement:
        """A refusal is an answer; silence is none."""
        try:
            action()
        except UnavailableError as error:
            if error.code == "repository-full":
                return self._one(error.code, "missing", summary, needed, detail=error.detail, hint=error.hint)
            return unverified(code, f"{self.site}: {summary}", error, self.subject, needed_for=needed)
        except AegisError as error:
            hint = error.hint
            if error.code == "repository-denied" and isinstance(self.declared, S3Repository):
                hint = "give the account what the policy below says"
            elif error.code == "repository-denied" and isinstance(self.declared, AzureRepository):
                hint = _AZURE_RIGHTS
            lacking = code if error.code == "repository-denied" else error.code
            return self._one(lacking, "missing", summary, needed, detail=error.detail, hint=hint)
        return self._one(code, "ok", summary, needed)

    def _list(self) -> Requirement:
        prefix = self.key.rpartition("/")[0] + "/"
        return self._try(
            "repository-list-denied", "objects can be listed", (*_BACKUP, "restore"),
            lambda: list(self.repository.listing(prefix)),
        )  # fmt: skip

    def _get(self) -> Requirement:
        def one() -> None:
            try:
                read(self.repository, self.key)
            except AegisError as error:
                if error.code != "object-missing":
                    raise

        return self._try("repository-get-denied", "objects can be read", (*_BACKUP, "restore"), one)

    def _conditional(self) -> Requirement:
        """A write on a condition that does not hold: who may not write is told so, who may is told of the condition."""
        code, summary = "repository-put-denied", "objects can be written, on conditions"
        try:
            self.repository.compare_and_set(self.key, _TAG, _FIRST)
        except LockedError:
            return self._one(code, "ok", summary, _BACKUP)
        except AegisError as error:
            if error.code == "object-missing":
                return self._one(code, "ok", summary, _BACKUP)
            again = error
            return self._try(code, summary, _BACKUP, lambda: _raise(again))
        return self._ignored(summary)

    def _ignored(self, summary: str) -> Requirement:
        left = ""
        try:
            self.repository.delete(self.key)
        except AegisError:
            left = f"; {self.key} was written and could not be removed"
        return self._one(
            "repository-ignores-conditions", "missing", summary, _BACKUP, policy=None,
            detail=f"it wrote an object though the condition did not hold{left}",
            hint="leases and immutable objects rest on conditional writes: use a service that has them",
        )  # fmt: skip

    def _write(self) -> Iterator[Requirement]:
        summary = "objects can be written, on conditions"
        try:
            there = self.repository.head(self.key) is not None
            if not there:
                self.repository.put(self.key, _FIRST)
        except AegisError as error:
            again = error
            yield self._try("repository-put-denied", summary, _BACKUP, lambda: _raise(again))
            return
        try:
            # What is there must stay: a second write of the same key has other bytes.
            self.repository.put(self.key, _SECOND)
        except UnavailableError as error:
            yield unverified("repository-put-denied", f"{self.site}: {summary}", error, self.subject)
        except AegisError as error:
            if error.code == "object-conflict":
                yield self._one("repository-put-denied", "ok", summary, _BACKUP)
            else:
                again = error
                yield self._try("repository-put-denied", summary, _BACKUP, lambda: _raise(again))
        else:
            yield self._ignored(summary)
            return
        yield self._try("repository-get-denied", "what was written can be read", (*_BACKUP, "restore"), self._same)
        try:
            may = self.repository.writer_may_delete(self.key)
        except AegisError as error:
            again = error
            yield self._try("repository-writer-deletes", _APART, (), lambda: _raise(again))
            return
        if may is not None:
            yield self._one(
                "repository-writer-deletes", "missing" if may else "ok", _APART, (),
                detail=f"{self.key} was removed as the identity that writes, and `prune` has one of its own",
                hint="take the right to delete from the identity that writes: whoever breaks into a host that backs up "
                "has it",
            )  # fmt: skip
        gone = self._try(
            "repository-delete-denied", "objects can be removed", (), lambda: self.repository.delete(self.key)
        )
        if gone.state != "ok":
            yield gone.model_copy(
                update={
                    "severity": "note",
                    "detail": f"{gone.detail}; {self.key} stays, one small object for each site",
                    "hint": "fine where backups must outlive a break-in; what expires has to be removed by the bucket",
                }
            )
        else:
            yield gone

    def _same(self) -> None:
        found = hashlib.sha256(read(self.repository, self.key)).digest()
        if found != hashlib.sha256(_FIRST).digest():
            raise AegisError(
                "repository-ignores-conditions",
                "a repository overwrote an object that it had to keep",
                f"{self.name}: {self.key}",
                "use a service that has conditional writes",
            )

    def _folder(self, path: Path) -> Generator[Requirement, None, bool]:
        """Yields what is to say of the folder, and returns whether it can be used at all."""
        who = owner(os.geteuid())
        make = f"install -d -m 700 -o {shlex.quote(who)} {shlex.quote(str(path))}"
        if path.is_symlink() and not path.exists():
            yield self._one(
                "repository-folder-missing", "missing", f"{path} is there or can be made", (*_BACKUP, "restore"),
                detail=f"{path} is a link to {os.readlink(path)}, which is not there",
                hint="make what the link names, mount the disk that it is on, or take the link away",
            )  # fmt: skip
            return False
        if not path.exists():
            above = path.parent
            if above.is_dir():
                yield from self._inodes(above)
            fine = above.is_dir() and os.access(above, os.W_OK | os.X_OK) and not read_only(above)
            detail = f"{above} is not there" if not above.is_dir() else f"{who} may not make a folder in {above}"
            yield self._one(
                "repository-folder-missing", "ok" if fine else "missing", f"{path} is there or can be made",
                (*_BACKUP, "restore"), detail=detail, commands=(make,),
                hint="make the folder; where it is a disk, mount it first",
            )  # fmt: skip
            return fine
        allowed = path.is_dir() and os.access(path, os.R_OK | os.W_OK | os.X_OK)
        fine = allowed and not read_only(path)
        found = path.stat()
        detail = f"{path} belongs to {owner(found.st_uid)} and has mode {found.st_mode & 0o7777:04o}; this is {who}"
        if not path.is_dir():
            detail = f"{path} is no folder"
        elif allowed:
            detail = f"{path} is on a file system that is mounted read-only"
        yield self._one(
            "repository-folder-denied", "ok" if fine else "missing", f"{path} can be read and written",
            (*_BACKUP, "restore"), detail=detail, commands=(f"chown {shlex.quote(who)} {shlex.quote(str(path))}",
            f"chmod 700 {shlex.quote(str(path))}"), hint="give the folder to the account of the site",
        )  # fmt: skip
        if fine:
            yield from self._inodes(path)
        if fine and found.st_mode & 0o077:
            yield self._one(
                "repository-folder-open", "missing", f"nobody else can look into {path}", (), severity="note",
                detail=f"it has mode {found.st_mode & 0o7777:04o}; what is in it is sealed, and names of sets are not",
                commands=(f"chmod 700 {shlex.quote(str(path))}",),
            )  # fmt: skip
        return fine

    def _inodes(self, folder: Path) -> Iterator[Requirement]:
        room = os.statvfs(folder)
        # File systems that make inodes as they need them count none.
        if room.f_files and room.f_favail < _FEWEST_INODES:
            yield self._one(
                "repository-full", "missing", f"there is room for files in {folder}", _BACKUP,
                detail=f"the file system has {room.f_favail} inodes left: there may be room for bytes, and no file can "
                "be made",
                hint="remove files that nobody needs from it, or take a file system with more inodes",
            )  # fmt: skip


def policy(declared: S3Repository) -> dict[str, Any]:
    """The least that the account of a site needs, as IAM and its kin take it."""
    prefix = f"{declared.prefix.strip('/')}/" if declared.prefix.strip("/") else ""
    bucket = f"arn:aws:s3:::{declared.bucket}"
    listing: dict[str, Any] = {
        "Sid": "AegisList",
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
        "Resource": bucket,
    }
    if prefix:
        listing["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
    writes = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    removes = ["s3:DeleteObject"]
    if declared.object_lock is not None:
        listing["Action"].append("s3:ListBucketVersions")
        writes += ["s3:GetObjectVersion", "s3:GetObjectRetention", "s3:PutObjectRetention"]
        removes.append("s3:DeleteObjectVersion")
    found = [
        listing,
        {"Sid": "AegisReadAndWrite", "Effect": "Allow", "Action": writes, "Resource": f"{bucket}/{prefix}*"},
    ]
    if declared.prune is None:
        found.append({"Sid": "AegisRemove", "Effect": "Allow", "Action": removes, "Resource": f"{bucket}/{prefix}*"})
    return {"Version": "2012-10-17", "Statement": found}


def _raise(error: AegisError) -> None:
    raise error
