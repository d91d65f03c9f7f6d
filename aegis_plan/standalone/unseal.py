"""Opens backups of Aegis Plan without Aegis Plan: one file, for a Python 3.9 or later with the libraries
`cryptography`, `pyrage` and `zstandard`. It reads a folder that holds what a repository holds, and writes only below
the folder named.

    python unseal.py list REPOSITORY --key KEY
    python unseal.py documents REPOSITORY OUT --key KEY
    python unseal.py set REPOSITORY STORE OUT --key KEY [--set SET]
    python unseal.py log REPOSITORY STORE OUT --key KEY
    python unseal.py tool REPOSITORY OUT --key KEY

`set` gives the newest set with all that it builds on, the full one in OUT/0. `log` gives PostgreSQL's log segments.
Whom to believe: signers named with `--trust ed25519:...` (from the recovery sheet), or those that the key itself
vouches for. With `--unverified` nothing is verified but the seals: whoever can write there may have forged all.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SEGMENT = 1 << 20
FOR_HOSTS = ("manifest", "pages")
"""What is sealed with the half of the data key that backup hosts may open."""
HEADER, TAG = 40, 16


class Wrong(Exception):
    """Told to people as it is."""


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def hkdf(secret: bytes, info: bytes, salt: bytes | None = None) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(secret)


def signature_fits(message: bytes, signature: str, public: str) -> bool:
    try:
        raw = base64.b64decode(public.partition(":")[2], validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def parsed(path: Path, part: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A signed object as it lies there, and its part that is signed; nothing of it is believed yet."""
    try:
        outer = json.loads(path.read_bytes())
        body = outer[part]
        if not isinstance(body, dict) or not isinstance(outer["signature"], str):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Wrong(f"{path} cannot be read") from None
    return outer, body


def endorsed(vouchers: Any, publics: set[str]) -> list[str]:
    """The signers whom the owner of one of the public keys vouches for."""
    found = []
    for voucher in vouchers if isinstance(vouchers, list) else ():
        signer, _, rest = str(voucher).partition(" ")
        public, _, signature = rest.partition(" ")
        if public in publics and signature_fits(b"aegis voucher v1\0" + signer.encode(), signature, public):
            found.append(signer)
    return found


class Keys:
    """The private keys, and whom they vouch for."""

    def __init__(self, path: Path | None) -> None:
        text = path.read_text() if path is not None else ""
        self.texts = list(dict.fromkeys(re.findall(r"AGE-SECRET-KEY-1[0-9A-Z]+", text)))
        if path is not None and not self.texts:
            raise Wrong(f"{path} holds no line that begins with AGE-SECRET-KEY-1")
        self._identities = [pyrage.x25519.Identity.from_str(one) for one in self.texts]

    def open(self, blob: bytes, what: str) -> bytes:
        try:
            return bytes(pyrage.decrypt(blob, self._identities))
        except (pyrage.DecryptError, ValueError):
            raise Wrong(f"the key does not open {what}") from None

    def vouched(self, vouchers: Any) -> list[str]:
        mine = set()
        for text in self.texts:
            private = Ed25519PrivateKey.from_private_bytes(hkdf(text.encode(), b"aegis voucher v1"))
            raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            mine.add("ed25519:" + base64.b64encode(raw).decode())
        return endorsed(vouchers, mine)


class Repository:
    """A folder with the objects of a repository, and whom to believe of what lies there."""

    def __init__(self, folder: Path, keys: Keys, trust: list[str], unverified: bool, system: str | None) -> None:
        self.folder, self.keys, self.unverified = folder, keys, unverified
        found = sorted(path.name for path in (folder / "v1").glob("*") if not path.name.startswith("_"))
        if system is None and len(found) != 1:
            raise Wrong(f"{folder} holds {', '.join(found) or 'no system'}: name one with --system")
        self.system = system or found[0]
        self.root = folder / "v1" / self.system
        self.publication: dict[str, Any] = {}
        bodies = []
        for path in sorted((self.root / "_system" / "publications").glob("*.json")):
            try:
                bodies.append((path, *parsed(path, "publication")))
            except Wrong as error:
                say(f"warning: {error}; it is not used")
        self.trusted = trust or [key for _, _, body in bodies for key in keys.vouched(body.get("vouchers"))]
        known: set[str] = set()
        now: list[str] = []
        for path, outer, body in bodies:
            # A key that a believed publication no longer lists signs none after it.
            allowed = [key for key in [*now, *self.trusted] if key in now or key not in known]
            allowed += endorsed(body.get("vouchers"), set(allowed))
            fits = any(signature_fits(canonical(body), outer["signature"], key) for key in allowed)
            here = path.name == f"{body.get('number')!s:0>8}.json" and body.get("system") == self.system
            if here and (unverified or fits):
                self.publication, now = body, list(body["publishers"])
                known.update(now, *body["signers"].values())
            else:
                say(f"warning: {path.name} is signed by nobody who is trusted; it is not used")
        # A publication that is believed says whose sets are.
        self.signers: dict[str, list[str]] = self.publication.get("signers", {})
        if not self.trusted and not unverified:
            raise Wrong("nobody is trusted: give --trust ed25519:... from the recovery sheet, or --unverified")

    def signed(self, path: Path, part: str) -> dict[str, Any]:
        outer, body = parsed(path, part)
        who = self.signers.get(str(outer.get("signer")), []) if self.signers else self.trusted
        fits = any(signature_fits(canonical(body), outer["signature"], key) for key in who)
        if part == "record" and body.get("site") != outer.get("signer"):
            fits = False
        if not fits and not self.unverified:
            raise Wrong(f"{path} is signed by nobody who is trusted")
        return body

    def named(self, laid: dict[str, Any]) -> bytes:
        data: bytes = (self.folder / laid["key"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != laid["sha256"]:
            raise Wrong(f"{laid['key']} is not what was published")
        return data

    def records(self, store: str) -> list[dict[str, Any]]:
        found = []
        for path in sorted((self.root / "stores" / store).glob("*/records/*.json")):
            try:
                record = self.signed(path, "record")
                place = (
                    f"v1/{record['system']}/stores/{record['store']}/{record['lineage']}/records/{record['id']}.json"
                )
                if path.relative_to(self.folder).as_posix() != place:
                    raise Wrong(f"{path} was signed for another place, {place}")
                found.append(record)
            except Wrong as error:
                say(f"warning: {error}; it is not used")
        return found

    def chosen(self, store: str, name: str | None) -> dict[str, Any]:
        sets = [one for one in self.records(store) if one["kind"] == "set" and (name is None or one["set"] == name)]
        if not sets:
            raise Wrong(f"there is no set {name or ''} of {store}")
        return max(sets, key=lambda one: str(one["not_after"]))

    def data_key(self, record: dict[str, Any]) -> dict[str, bytes]:
        folder = self.root / "stores" / record["store"] / record["lineage"] / "keys"
        trouble = f"no key is there for {record['id']}"
        doubtful = []
        for path in sorted(folder.glob(f"{record['key']}.*.json"), reverse=True):
            try:
                return self._opened(self.signed(path, "key"), path)
            except Wrong as error:
                trouble = str(error)
                doubtful.append(path)
        # That is safe: what is read is compared with its signed record. A damaged key may be all that is left.
        for path in doubtful:
            try:
                found = self._opened(parsed(path, "key")[1], path)
            except Wrong:
                continue
            say(f"warning: {trouble}; {path.name} is tried nevertheless")
            return found
        raise Wrong(trouble)

    def _opened(self, body: dict[str, Any], path: Path) -> dict[str, bytes]:
        try:
            if body["name"] != path.name.rsplit(".", 2)[0]:
                raise Wrong(f"{path} is the key of something else")
            return {half: self.keys.open(base64.b64decode(body[half]["age"]), path.name) for half in ("data", "meta")}
        except (ValueError, KeyError, TypeError):
            raise Wrong(f"{path} cannot be read") from None

    def plain(self, stored: dict[str, Any], secret: bytes) -> Iterator[bytes]:
        """The plain bytes of one sealed object; they count only once the last was given without an error."""
        try:
            yield from self._plain(stored, secret)
        except (InvalidTag, zstandard.ZstdError):
            raise Wrong(f"{stored['key']} is damaged, or sealed with another key") from None

    def _plain(self, stored: dict[str, Any], secret: bytes) -> Iterator[bytes]:
        key = stored["key"]
        head = canonical(
            {"cipher": "AES256_GCM_HKDF_1MB", "compression": "zstd", "format": 1, "key": key, "oldest_reader": 1}
        )
        front = b"AEGIS1" + struct.pack(">I", len(head)) + head
        sealed, plain = hashlib.sha256(), 0
        with (self.folder / key).open("rb") as file:
            begin = file.read(len(front) + HEADER)
            sealed.update(begin)
            if not begin.startswith(front) or len(begin) < len(front) + HEADER:
                raise Wrong(f"{key} is no sealed object of this key")
            salt, prefix = begin[len(front) + 1 : len(front) + 33], begin[len(front) + 33 :]
            cipher = AESGCM(hkdf(hkdf(secret, b"aegis object v1\0" + key.encode()), head, salt))
            unpack = zstandard.ZstdDecompressor().decompressobj()
            index, room = 0, SEGMENT - HEADER
            part = file.read(room)
            while True:
                following = file.read(SEGMENT)
                sealed.update(part)
                nonce = prefix + struct.pack(">IB", index, not following)
                for packed in (cipher.decrypt(nonce, part, None),):
                    while packed:
                        out = unpack.decompress(packed)
                        plain += len(out)
                        yield out
                        packed = b""
                        if unpack.eof:
                            packed, unpack = unpack.unused_data, zstandard.ZstdDecompressor().decompressobj()
                if not following:
                    break
                part, index = following, index + 1
        if sealed.hexdigest() != stored["sealed_sha256"] or plain != stored["plain_size"]:
            raise Wrong(f"{key} is not what its record names")


def say(text: str) -> None:
    print(text, file=sys.stderr)


def fresh(folder: Path) -> Path:
    if folder.exists() and any(folder.iterdir()):
        raise Wrong(f"{folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def list_(repository: Repository, _options: argparse.Namespace) -> None:
    if repository.publication:
        print(f"documents: revision {repository.publication['number']} of {repository.publication['written']}")
    for store in sorted(path.name for path in (repository.root / "stores").glob("*")):
        print(store)
        for one in repository.records(store):
            if one["kind"] == "set":
                parent = f", on top of {one['parent']}" if one["parent"] else ""
                print(f"  set {one['set']}  {one['method']}{parent}  as of {one['not_after']}")
        ranges = [one for one in repository.records(store) if one["kind"] == "log"]
        if ranges:
            print(f"  log {ranges[0]['begin']} to {ranges[-1]['end']}, {len(ranges)} ranges")


def documents(repository: Repository, options: argparse.Namespace) -> None:
    import io
    import tarfile

    if not repository.publication:
        raise Wrong("no publication that is believed")
    laid = repository.publication["documents"]
    data = repository.keys.open(repository.named(laid), laid["key"])
    out = fresh(options.out)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for entry in archive:
            path = out / entry.name
            if not entry.isreg() or ".." in path.parts or entry.name.startswith("/"):
                raise Wrong(f"{entry.name} is no plain file")
            content = archive.extractfile(entry)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read() if content is not None else b"")
            print(path)


def set_(repository: Repository, options: argparse.Namespace) -> None:
    record = repository.chosen(options.store, options.set)
    chain = [record]
    while chain[0]["parent"]:
        chain.insert(0, repository.chosen(options.store, chain[0]["parent"]))
    out = fresh(options.out)
    for number, one in enumerate(chain):
        folder = fresh(out / str(number))
        unpacked(repository, one, folder)
        (folder / "record.json").write_text(json.dumps(one, indent=1))
        print(f"{folder}: {one['method']} {one['set']}, as of {one['not_after']}")


def unpacked(repository: Repository, record: dict[str, Any], folder: Path) -> None:
    key = repository.data_key(record)
    for stored in record["objects"]:
        if stored["name"] == "index":
            continue
        if not re.fullmatch(r"\w[\w.-]*", stored["name"]):
            raise Wrong(f"'{stored['name']}' is no name of a file")
        name = re.sub(r"\.\d{3}$", "", stored["name"])
        with (folder / name).open("ab") as file:
            for piece in repository.plain(stored, key["meta" if name in FOR_HOSTS else "data"]):
                file.write(piece)
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            archive = file.read(512)[257:262] == b"ustar"
        if archive:
            path.rename(path.with_name(path.name + ".tar"))


def log(repository: Repository, options: argparse.Namespace) -> None:
    """Ranges of PostgreSQL's log, put together to the files that a server replays."""
    record = repository.chosen(options.store, options.set)
    out = fresh(options.out)
    size = int(record["details"].get("wal_segment_size") or record["details"].get("segment_size") or 16 << 20)
    begun: dict[Path, int] = {}
    spans: dict[int, list[tuple[int, int]]] = {}
    for one in repository.records(options.store):
        if one["kind"] != "log" or one["lineage"] != record["lineage"]:
            continue
        (timeline, at), (last, end) = position(one["begin"]), position(one["end"])
        try:
            key = repository.data_key(one)
            for stored in one["objects"]:
                if one["details"].get("history"):
                    data = b"".join(repository.plain(stored, key["data"]))
                    (out / f"{last:08X}.history").write_bytes(data)
                    continue
                for piece in repository.plain(stored, key["data"]):
                    view = memoryview(piece)
                    while view:
                        room = size - at % size
                        path = place(out, timeline, at, size, view[:room])
                        begun[path] = min(begun.get(path, size), at % size)
                        at += len(view[:room])
                        view = view[room:]
        except (Wrong, OSError) as error:
            say(f"warning: a range of the log is left out: {error}")
        else:
            if not one["details"].get("history"):
                spans.setdefault(timeline, []).append((position(one["begin"])[1], end))
    for path, first in begun.items():
        if first:
            # Its beginning was never archived; where it is needed, the set brings the whole of it.
            path.unlink()
    print(f"{len(list(out.iterdir()))} files of log in {out}")
    lacking = gaps(spans, *position(record["end"]))
    if lacking:
        raise Wrong(f"log is missing, and nothing after it can be reached: {', '.join(lacking)}")


def gaps(spans: dict[int, list[tuple[int, int]]], timeline: int, begin: int) -> list[str]:
    """What is missing of the log from the end of the set on, which brings its own. A server just stops there."""
    found = []
    for line, ranges in sorted(spans.items()):
        until = begin if line == timeline else min(ranges)[0]
        for first, last in sorted(ranges):
            if first > until and last > begin:
                shown = [f"{at >> 32:X}/{at & 0xFFFFFFFF:X}" for at in (until, first)]
                found.append(f"timeline {line} from {' to '.join(shown)}")
            until = max(until, last)
    return found


def place(out: Path, timeline: int, at: int, size: int, data: memoryview) -> Path:
    number, each = at // size, (1 << 32) // size
    path = out / f"{timeline:08X}{number // each:08X}{number % each:08X}"
    if not path.exists():
        with path.open("wb") as file:
            file.truncate(size)
    with path.open("r+b") as file:
        file.seek(at % size)
        file.write(data)
    return path


def position(text: str) -> tuple[int, int]:
    timeline, high, low = text.split("/")
    return int(timeline), (int(high, 16) << 32) + int(low, 16)


def tool(repository: Repository, options: argparse.Namespace) -> None:
    wheels = [laid for laid in repository.publication.get("beside", []) if laid["name"].endswith(".whl")]
    if not wheels:
        raise Wrong("no copy of the tool was published")
    out = fresh(options.out)
    for laid in wheels:
        (out / Path(laid["name"]).name).write_bytes(repository.named(laid))
    print(f"{len(wheels)} wheels. python -m pip install --no-index --find-links {out} aegis-plan")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    commands = parser.add_subparsers(required=True)
    for name, act, more in (
        ("list", list_, ()), ("documents", documents, ("out",)), ("set", set_, ("store", "out")),
        ("log", log, ("store", "out")), ("tool", tool, ("out",)),
    ):  # fmt: skip
        command = commands.add_parser(name)
        command.add_argument("repository", type=Path)
        for word in more:
            command.add_argument(word, type=Path if word == "out" else str)
        command.add_argument("--key", type=Path)
        command.add_argument("--trust", action="append", default=[])
        command.add_argument("--unverified", action="store_true")
        command.add_argument("--system")
        command.add_argument("--set")
        command.set_defaults(act=act)
    options = parser.parse_args()
    try:
        keys = Keys(options.key)
        options.act(Repository(options.repository, keys, options.trust, options.unverified, options.system), options)
    except (Wrong, OSError) as error:
        say(f"error: {error}")
        return 1
    except (ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        say(f"error: what lies there is not what it should be: {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
