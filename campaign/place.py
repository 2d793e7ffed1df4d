"""How a file is named to a person: relative to where they stand, if it is below."""

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
