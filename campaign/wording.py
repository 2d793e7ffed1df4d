"""How files and counts are named to a person."""

from __future__ import annotations

import os.path
from pathlib import Path


def shown(file: Path) -> str:
    """Return `file` relative to the working directory where it lies in it, else as it is."""
    # Not resolved: a person knows the link that they named, and not what it leads to.
    file = Path(os.path.normpath(file))
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return `1 row`, `2 rows`, `0 rows`; `plural` where an s does not make it."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
