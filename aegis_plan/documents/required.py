"""`required_version`: whether this program may read the documents. It checks nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from aegis_plan.documents.tree import Node
from aegis_plan.errors import AegisError


def problems(root: Node) -> Iterator[AegisError]:
    """An error where the documents ask for another version of the program, or for none that can be read."""
    node = root.child("required_version")
    if node is None or not isinstance(node.value, str) or not node.value:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import Version

    try:
        wanted = SpecifierSet(node.value)
    except InvalidSpecifier:
        yield AegisError(
            "value-invalid",
            "a value that cannot be",
            "required_version: not a range of versions",
            "write it as >=0.3, or as >=0.3,<1",
            node.position,
        )
        return
    try:
        own = Version(version("aegis-plan"))
    except PackageNotFoundError:  # run from a checkout that is not installed
        return
    if not wanted.contains(own, prereleases=True):
        yield AegisError(
            "version-required",
            "the documents ask for another version of this program",
            f"they ask for {wanted}, and this is {own}",
            "install a version within that range, or change required_version after reading the changelog",
            node.position,
        )
