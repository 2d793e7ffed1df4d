"""A private folder of a worker's, which vanishes, and what to do where it cannot be written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign.errors import UserError


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make the folder, for as long as the context is open. Raises UserError."""
    try:
        made = tempfile.TemporaryDirectory(prefix="campaign-")
    except OSError as error:
        raise unwritable(error) from error
    with made as folder:
        yield Path(folder).resolve()


def unwritable(error: OSError) -> UserError:
    """Return the error for what could not be written into it."""
    what = f"temporary files cannot be written: {error.strerror}"
    return UserError(f"{what}. Make room on the disk, or name another folder in TMPDIR")
