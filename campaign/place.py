"""How a file is named to a person: relative to where they stand, if it is below."""

from __future__ import annotations

from pathlib import Path


def shown(file: Path) -> str:
    """Return `file` relative to the working directory where it lies in it, else as it is."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)
