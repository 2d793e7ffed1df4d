"""The folder that attachments and images come from: nothing outside of it is ever read.

A path may come from a cell of the list. Links are followed before the path is judged. Hidden files
are not read either: `.env` and `.git` hold what nobody means to send.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from campaign.errors import UserError
from campaign.place import shown


class Folder:
    """`root` and what is below it, without the `private` files (the list, the ledger, secrets)."""

    def __init__(self, root: Path, private: Iterable[Path]) -> None:
        self.root = root.resolve()
        self._private = frozenset(path.resolve() for path in private)

    def find(self, path: str) -> Path:
        """Return the file at `path` in the folder. Raises UserError with a sentence."""
        if "\0" in path:
            raise UserError("a path has a NUL character in it")
        try:
            found = (self.root / path).resolve()
            if not found.is_relative_to(self.root):
                raise UserError(f"{path!r} lies outside of attachments_root ({shown(self.root)})")
            if any(part.startswith(".") for part in found.relative_to(self.root).parts):
                raise UserError(f"{path!r} is hidden, and not for recipients")
            if found in self._private or self._is_ledger(found):
                raise UserError(f"{path!r} is not for recipients: it is the list, the ledger, or a secret")
            if not found.is_file():
                raise UserError(f"there is no file {path!r} in {shown(self.root)}")
        except (OSError, RuntimeError) as error:  # too long a name; links in a circle
            reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
            raise UserError(f"{path[:80]!r} cannot be read: {reason}") from None
        return found

    def read(self, path: Path) -> bytes:
        """Return a found file's octets. Raises UserError with a sentence."""
        try:
            return path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None

    def _is_ledger(self, path: Path) -> bool:
        return any(path.name.startswith(f"{private.name}-") for private in self._private)
