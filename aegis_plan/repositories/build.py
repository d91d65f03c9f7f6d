"""Makes a repository from what documents declare; the only place that knows all kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aegis_plan.documents.model import AzureRepository as AzureDeclared
from aegis_plan.documents.model import LocalRepository as LocalDeclared
from aegis_plan.documents.model import Repository as Declared
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.limited import Limited
from aegis_plan.repositories.retry import Retrying


def build(name: str, declared: Declared, resolve: Callable[[str], str], site: Path | None = None) -> Repository:
    """The repository, wrapped so that passing faults are tried again. `resolve` turns secret references into text;
    `site` is the folder of the site, which remembers the repositories that it wrote to.

    Opens nothing yet: an unreachable repository shows at its first use. Raises what `resolve` raises."""
    if isinstance(declared, LocalDeclared):
        from aegis_plan.repositories.local import LocalRepository

        return LocalRepository(name, Path(resolve(declared.path)), site / "known" if site is not None else None)
    if isinstance(declared, AzureDeclared):
        from aegis_plan.repositories.azure import AzureRepository

        return _limited(Retrying(AzureRepository(name, declared, resolve)), declared.bandwidth)
    from aegis_plan.repositories.s3 import S3Repository

    return _limited(Retrying(S3Repository(name, declared, resolve)), declared.bandwidth)


def _limited(repository: Repository, rate: int | None) -> Repository:
    return Limited(repository, rate) if rate else repository
