"""The tool that runs here as installable wheels, with all that it needs: put together from the files that are
installed, so that it needs no network and is exactly what was proved here. It changes nothing that is installed.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from aegis_plan.errors import AegisError

NAME = "aegis-plan"


def version() -> str:
    """The version that runs."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "0"


def platform() -> str:
    """For what the wheels are, in words for people."""
    return f"Python {sysconfig.get_python_version()} on {sysconfig.get_platform()}"


def wheels_of(which: str, folder: Path, more: Iterable[str] = ()) -> list[Path]:
    """The wheels in the folder `which`; with `auto` they are made in `folder`, with `more` packages beside the tool as
    far as they are installed. Raises AegisError `wheels-not-made`."""
    if which != "auto":
        return sorted(Path(which).glob("*.whl"))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return [_packed(found, folder) for found in needed(more)]


def needed(more: Iterable[str] = ()) -> list[metadata.Distribution]:
    """The tool and all that it needs, without extras, and `more` packages that are installed with what these need."""
    found: dict[str, metadata.Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(NAME, frozenset())]
    waiting += [(name, frozenset()) for name in more if any(metadata.distributions(name=name))]
    while waiting:
        name, extras = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found and not extras:
            continue
        distribution = found[key] = _installed(name)
        for text in distribution.requires or ():
            wanted = Requirement(text)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append((wanted.name, frozenset(wanted.extras)))
    return [found[key] for key in sorted(found)]


def _installed(name: str) -> metadata.Distribution:
    # A checkout in the present folder shows as well, and it is no installation.
    for one in metadata.distributions(name=name):
        if one.read_text("WHEEL") is not None:
            return one
    raise _unmade(f"{name} is needed and was not installed from a wheel")


def packed(name: str, folder: Path) -> Path:
    """The wheel of one installed package; the same files give the same bytes. Raises AegisError `wheels-not-made`."""
    return _packed(_installed(name), folder)


def _packed(distribution: metadata.Distribution, folder: Path) -> Path:
    name = re.sub(r"[-_.]+", "_", distribution.metadata["Name"])
    tags = re.findall(r"^Tag: (\S+)", distribution.read_text("WHEEL") or "Tag: py3-none-any", re.MULTILINE)
    path = folder / f"{name}-{distribution.version}-{_joined(tags)}.whl"
    lines = []
    inside = f"{name}-{distribution.version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for target, source in sorted(_files(distribution, inside)):
            data = source.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{target},sha256={digest},{len(data)}\n")
            _add(archive, target, data, source.stat().st_mode)
        record = f"{inside}/RECORD"
        _add(archive, record, ("".join(lines) + f"{record},,\n").encode(), 0o644)
    return path


def _add(archive: zipfile.ZipFile, name: str, data: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (mode & 0o777 | 0o100000) << 16
    archive.writestr(entry, data)


def _joined(tags: list[str]) -> str:
    parts = [tag.split("-") for tag in tags]
    return "-".join(".".join(dict.fromkeys(one[at] for one in parts)) for at in range(3))


def _files(distribution: metadata.Distribution, inside: str) -> Iterator[tuple[str, Path]]:
    """Names in the wheel, and where each file is now. Of what was installed from a folder that people edit, its
    package."""
    files = distribution.files
    if files is None:
        raise _unmade(f"nothing lists the files of {distribution.metadata['Name']}")
    editable = distribution.metadata["Name"] == NAME
    for file in files:
        parts = file.parts
        if parts[0] == ".." or "__pycache__" in parts:
            continue  # scripts are made anew from the entry points
        if parts[0].endswith(".dist-info"):
            if parts[-1] not in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
                yield f"{inside}/{'/'.join(parts[1:])}", Path(str(file.locate()))
        elif not editable:
            yield "/".join(parts), Path(str(file.locate()))
    if editable:
        package = Path(__file__).parent.parent
        for path in package.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{package.name}/{path.relative_to(package).as_posix()}", path


def _unmade(detail: str) -> AegisError:
    return AegisError(
        "wheels-not-made",
        "the copy of the tool cannot be made",
        detail,
        "give a folder of wheels with --wheels DIR, or go without with --wheels none",
    )
