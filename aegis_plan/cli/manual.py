"""The manual inside the package: where its pages lie and how they are printed. Reads nothing else."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

import aegis_plan


def folder() -> Path:
    """The folder of all pages."""
    return Path(aegis_plan.__file__).parent / "docs"


def pages() -> dict[str, Path]:
    """Topic to page."""
    found = {page.stem: page for page in sorted(folder().glob("*.md"))}
    found |= {page.stem: page for page in sorted((folder() / "manual").glob("*.md"))}
    return found


def print_markdown(text: str, out: Console) -> None:
    """Formatted on a terminal, as it is into a pipe."""
    if out.is_terminal:
        from rich.markdown import Markdown

        out.print(Markdown(text, hyperlinks=False), width=min(out.width, 100))
    else:
        out.print(text, soft_wrap=True)
