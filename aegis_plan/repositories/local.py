"""A repository in a folder of this machine. It never overwrites an object, and reads from a folder it may not write to.

An object is written beside under `.partial/`, flushed to the disk, and linked to its name, which fails if the name is
taken.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from aegis_plan.errors import AegisError, DamageError, UnavailableError
from aegis_plan.repositories.contract import Head, Listed, cannot_lock
from aegis_plan.repositories.refused import conflict, missing, moved, short

PARTIAL = ".partial"
_PIECE = 1 << 20


class LocalRepository:
    """A folder; see `contract.Repository`."""

    def __init__(self, name: str, path: Path, known: Path | None = None) -> None:
        """`known`: a folder of this host where is remembered that the repository was written to, so that a disk that is
        away is not taken for a repository that is new."""
        self.name = name
        self._root = path
        self._lock = threading.Lock()
        place = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        self._known = known / f"{name}-{place}" if known is not None else None
        self._remembered = False

    def open(self, key: str) -> LocalUpload:
        return LocalUpload(self, key)

    def put(self, key: str, data: bytes) -> Head:
        upload = self.open(key)
        try:
            upload.write(data)
            return upload.commit(hashlib.sha256(data).hexdigest())
        finally:
            upload.abort()

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        try:
            with self._path(key).open("rb") as file:
                file.seek(offset)
                left = length
                while left is None or left > 0:
                    piece = file.read(_PIECE if left is None else min(_PIECE, left))
                    if not piece:
                        break
                    if left is not None:
                        left -= len(piece)
                    yield piece
        except OSError as error:
            raise self._failed(error, key) from None
        if left:
            raise short(self.name, key, f"{left} of {length} bytes from {offset} are not there")

    def head(self, key: str) -> Head | None:
        """Size alone; the whole digest is compared when an object is written or copied."""
        try:
            found = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            self._present()
            return None
        except OSError as error:
            raise self._failed(error, key) from None
        return Head(key, found.st_size, "size", modified=datetime.fromtimestamp(found.st_mtime, UTC))

    def proved(self, key: str) -> Head | None:
        """Like `head`, after reading every byte."""
        found = self.head(key)
        if found is None:
            return None
        digest = hashlib.sha256()
        for piece in self.get(key):
            digest.update(piece)
        return Head(key, found.size, "full", digest.hexdigest())

    def listing(self, prefix: str) -> Iterator[Listed]:
        folder, _, _ = prefix.rpartition("/")
        self._present()
        try:
            # Keys differ, so that nothing behind them is compared.
            yield from sorted(self._walk(folder, prefix))
        except OSError as error:
            raise self._failed(error, prefix) from None

    def folders(self, prefix: str) -> tuple[str, ...]:
        self._present()
        try:
            names = sorted(
                entry.name
                for entry in os.scandir(self._root / prefix)
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )
            # An upload that never ended leaves a folder without anything.
            return tuple(name for name in names if next(self._walk(f"{prefix}{name}", f"{prefix}{name}/"), None))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise self._failed(error, prefix) from None

    def _walk(self, inside: str, prefix: str) -> Iterator[Listed]:
        waiting = [inside]
        while waiting:
            inside = waiting.pop()
            try:
                entries = list(os.scandir(self._root / inside))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                key = f"{inside}/{name}" if inside else name
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if f"{key}/".startswith(prefix) or prefix.startswith(f"{key}/"):
                            waiting.append(key)
                    elif key.startswith(prefix) and entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        yield Listed(key, found.st_size, _mark(found))
                except FileNotFoundError:
                    continue

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
            _sync(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failed(error, key) from None
        # Folders that became empty go, as far up as they are.
        for parent in path.parents:
            if parent == self._root:
                break
            try:
                parent.rmdir()
            except OSError:
                break

    def compare_and_set(self, key: str, expected: str | None, data: bytes) -> str:
        path = self._path(key)
        try:
            self._folder(path.parent)
            with self._lock, (path.parent / f".{path.name}.lock").open("a") as guard:
                os.chmod(guard.fileno(), 0o600)
                fcntl.flock(guard, fcntl.LOCK_EX)
                found = self.read_tagged(key)
                if (found[1] if found else None) != expected:
                    raise moved(self.name, key)
                beside = self._beside()
                try:
                    with os.fdopen(_private(beside), "wb") as file:
                        file.write(data)
                        file.flush()
                        os.fsync(file.fileno())
                        os.replace(beside, path)
                finally:
                    beside.unlink(missing_ok=True)
                _sync(path.parent)
        except OSError as error:
            raise self._failed(error, key) from None
        self._remember()
        return _tag(data)

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        try:
            data = self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            self._present()
            return None
        except OSError as error:
            raise self._failed(error, key) from None
        return data, _tag(data)

    def sweep(self, prefix: str, older_than_seconds: float) -> list[str]:
        """Unfinished uploads carry no key of their own here: all that are old enough go, whatever the prefix. One that
        a living process still writes to stays: other stores are backed up into the same folder at the same time."""
        gone = []
        oldest = time.time() - older_than_seconds
        try:
            for entry in list(os.scandir(self._root / PARTIAL)):
                if entry.stat().st_mtime <= oldest and not _in_use(entry.path):
                    os.unlink(entry.path)
                    gone.append(f"{PARTIAL}/{entry.name}")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._failed(error, prefix) from None
        return sorted(gone)

    def keep(self, key: str, until: datetime) -> None:
        raise cannot_lock(self.name)

    def tampered(self, prefix: str) -> Iterator[tuple[str, str]]:
        return iter(())

    def writer_may_delete(self, key: str) -> bool | None:
        """A folder knows one account only."""
        return None

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not key or any(part in ("", ".", "..") or part.startswith(".") or "\0" in part for part in parts):
            raise AegisError(
                "key-malformed", "a key cannot name an object", f"'{key}'", "this is a fault of aegis; report it"
            )
        return self._root.joinpath(*parts)

    def _present(self) -> None:
        """A repository that nobody wrote to yet is empty; one whose disk is not mounted must not look so."""
        if not self._root.exists() and not self._root.parent.exists():
            raise UnavailableError(
                "repository-unreachable",
                "a repository cannot be reached",
                f"{self.name}: neither {self._root} nor the folder above it exists",
                "mount the disk, or correct the path",
            )
        # A mount point without its disk is an empty folder; what is written there hides behind the disk later on.
        if self._known is not None and self._known.exists() and self._bare():
            raise UnavailableError(
                "repository-unreachable",
                "a repository cannot be reached",
                f"{self.name}: this host wrote to {self._root} before, and now it is missing or empty",
                f"mount the disk; if it was emptied on purpose, remove {self._known}",
            )

    def _bare(self) -> bool:
        try:
            with os.scandir(self._root) as entries:
                # The folder of unfinished objects stays, also when every object was swept.
                return all(entry.name == "lost+found" for entry in entries)
        except FileNotFoundError:
            return True
        except OSError:
            return False  # the use itself will say what is wrong

    def _remember(self) -> None:
        """After a write that succeeded."""
        if self._known is None or self._remembered:
            return
        self._known.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._known.touch(0o600)
        self._remembered = True

    def _folder(self, folder: Path) -> None:
        self._present()
        if folder.is_dir():
            return
        made = []
        place = folder
        while not place.exists():
            made.append(place)
            place = place.parent
        for place in reversed(made):
            with contextlib.suppress(FileExistsError):
                place.mkdir(mode=0o700)
            _sync(place.parent)

    def _beside(self) -> Path:
        partial = self._root / PARTIAL
        self._folder(partial)
        return partial / secrets.token_hex(12)

    def _failed(self, error: OSError, key: str) -> AegisError:
        if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            try:
                self._present()
            except UnavailableError as away:
                return away
            return missing(self.name, key)
        said = os.strerror(error.errno) if error.errno else "unknown error"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return UnavailableError(
                "repository-full",
                "a repository has no room",
                f"{self.name}: {said} while writing {key}",
                "make room or prune; the unfinished object was removed",
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return AegisError(
                "repository-denied",
                "a repository does not allow this",
                f"{self.name}: {said}: {key}",
                "give the account that runs aegis the right to it",
            )
        return UnavailableError(
            "repository-unreachable",
            "a repository cannot be reached",
            f"{self.name}: {said}: {key}",
            "see that the disk is there and healthy",
        )


class LocalUpload:
    """One object on its way into a folder."""

    def __init__(self, repository: LocalRepository, key: str) -> None:
        self._repository, self._key = repository, key
        self._target = repository._path(key)
        self._digest = hashlib.sha256()
        self._size = 0
        try:
            self._beside = repository._beside()
            self._file = os.fdopen(_private(self._beside), "wb", buffering=0)
        except OSError as error:
            raise repository._failed(error, key) from None

    def write(self, part: bytes) -> None:
        try:
            view = memoryview(part)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self.abort()
            raise self._repository._failed(error, self._key) from None
        self._digest.update(part)
        self._size += len(part)

    def commit(self, sha256: str) -> Head:
        if self._digest.hexdigest() != sha256:
            self.abort()
            raise DamageError(
                "arrived-damaged",
                "what arrived in a repository is not what was sent",
                f"{self._repository.name}: {self._key}",
                "try again; if it repeats, test the machine's memory",
            )
        try:
            os.fsync(self._file.fileno())
            self._repository._folder(self._target.parent)
            try:
                os.link(self._beside, self._target)
            except FileExistsError:
                return self._already(sha256)
            _sync(self._target.parent)
            self._repository._remember()
        except OSError as error:
            raise self._repository._failed(error, self._key) from None
        finally:
            self.abort()
        return Head(self._key, self._size, "full", sha256)

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._beside.unlink(missing_ok=True)

    def _already(self, sha256: str) -> Head:
        found = self._repository.proved(self._key)
        if found is None or found.sha256 != sha256:
            raise conflict(self._repository.name, self._key)
        return found


def _private(path: Path) -> int:
    """Opens a new file, and locks it as long as it is open: so it shows that somebody is at work on it."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):  # where there are no locks, the age alone tells
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return number


def _in_use(path: str) -> bool:
    """Whether a living process has an unfinished object open; also where nobody may tell."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except PermissionError:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(number)
    return False


def _sync(folder: Path) -> None:
    """Makes names in a folder durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _mark(found: os.stat_result) -> str:
    """Of a file as it is: nobody changes its bytes without changing when it was changed, which nobody can set."""
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_ctime_ns}"


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
