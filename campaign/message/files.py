"""The folder of attachments and images: nothing outside of it is ever read.

A path may come from a cell of the list. Links are resolved before the path is checked. Hidden files
are not read either: nobody means to send `.env` or `.git`.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.campaignfile.octets import MOST_OF_AN_ATTACHMENT, PRIVATE_KEY, is_same_file, read_file
from campaign.campaignfile.spelling import existing, meant
from campaign.errors import UserError
from campaign.message import mime
from campaign.message.headers import HeaderError
from campaign.templating.text import Text
from campaign.wording import shown

if TYPE_CHECKING:  # its library is slow to load, and templates run without it
    from campaign.campaignfile.models import CampaignFile

_BEGINNING = 10_000  # octets in which a private key is looked for


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
            found = existing(self.root, path).resolve()
            if not found.is_relative_to(self.root):
                raise UserError(
                    f"{path!r} lies outside of attachments_root ({shown(self.root)}){self._hint(path)}"
                )
            if not found.is_file() and found.exists() and not found.is_dir():
                raise UserError(f"{path!r} is a pipe or a device, and no file")
            if not found.is_file():
                raise UserError(f"there is no file {path!r} in {shown(self.root)}{self._hint(path)}")
            if any(part.startswith(".") for part in found.relative_to(self.root).parts):
                raise UserError(f"{path!r} is hidden, and not for recipients")
            if is_same_file(found, self._private) or self._is_ledger(found):
                raise UserError(f"{path!r} is not for recipients: it is the list, the ledger, or a secret")
        except (OSError, RuntimeError) as error:  # too long a name; links in a circle
            reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
            raise UserError(f"{path[:80]!r} cannot be read: {reason}") from None
        return found

    def stamp(self, path: str) -> tuple[int, int, int] | None:
        """Return the inode, size and modification time (ns) of the file at `path`; None if it is gone."""
        try:
            status = (self.root / path).stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def read(self, path: Path) -> bytes:
        """Return a found file's octets. Raises UserError with a sentence."""
        try:
            octets = read_file(path, MOST_OF_AN_ATTACHMENT)
        except OSError as error:
            raise UserError(f"{shown(path)} cannot be read: {error.strerror}") from None
        if PRIVATE_KEY.search(octets, 0, _BEGINNING):
            raise UserError(f"{shown(path)} is not for recipients: it holds a private key")
        return octets

    def _hint(self, path: str) -> str:
        near = meant(self.root, path)
        return f"; did you mean {near!r}?" if near else ""

    def _is_ledger(self, path: Path) -> bool:
        return any(path.name.startswith(f"{private.name}-") for private in self._private)


class Attachments:
    """A campaign's attachments: `static` are those of every message, and `of` gives a row's own.

    `texts` has the templates of each one's path and name, by their places; `named_by` are, by the
    attachment's number, the columns that its path prints. Raises UserError with a static one's problem.
    """

    def __init__(self, campaign: CampaignFile, folder: Folder, texts: Mapping[str, Text]) -> None:
        self._campaign = campaign
        self._folder = folder
        self._read = lru_cache(maxsize=16)(self._attachment)
        blank = Text(constant="")
        each = [
            (texts[f"attachments.{number}.path"], texts.get(f"attachments.{number}.name", blank))
            for number, _ in enumerate(campaign.attachments)
        ]
        self._per_row = [
            (number, path, name)
            for number, (path, name) in enumerate(each)
            if path.constant is None or name.constant is None
        ]
        self.named_by = {number: frozenset(path.shown) for number, path, _ in self._per_row}
        own = [number for number, _, _ in self._per_row]
        every = (self._file(n, path, name, {}) for n, (path, name) in enumerate(each) if n not in own)
        self.static = [file for file in every if file is not None]
        self._stamps = array("q")  # by row number: a hash of its files' stamps when it was first rendered

    def of(self, context: Mapping[str, object], row: int) -> list[mime.File]:
        """Return the files of row number `row`, without those whose path is blank.

        Raises UserError; also if a file has changed since the row was first rendered.
        """
        files = [self._file(number, path, name, context) for number, path, name in self._per_row]
        found = [file for file in files if file is not None]
        if found:
            self._refuse_changed(context, row)
        return found

    def asked(self, context: Mapping[str, object]) -> list[Path]:
        """Return the files that a row names, without reading them. Raises UserError."""
        asked = [path.render(context).strip() for _, path, _ in self._per_row]
        return [self._folder.find(path) for path in asked if path]

    def _refuse_changed(self, context: Mapping[str, object], row: int) -> None:
        asked = [path.render(context).strip() for _, path, _ in self._per_row]
        stamp = hash(tuple(self._folder.stamp(path) for path in asked if path)) or 1
        if len(self._stamps) <= row:
            self._stamps.frombytes(bytes(self._stamps.itemsize * (row + 1 - len(self._stamps))))
        if self._stamps[row] not in (0, stamp):
            what = f"{' or '.join(filter(None, asked))} is gone, or has changed since the plan was made"
            raise UserError(self._campaign.problem("attachments", what))
        self._stamps[row] = stamp

    def _file(self, number: int, path: Text, name: Text, context: Mapping[str, object]) -> mime.File | None:
        asked, named = path.render(context).strip(), name.render(context).strip()
        if not asked:
            return None
        try:
            return self._read(asked, named)
        except (UserError, HeaderError) as error:
            what = error.problems[0].message if isinstance(error, UserError) else str(error)
            what += read_from(path.columns | name.columns)
            raise UserError(self._campaign.problem(f"attachments.{number}", what)) from None

    def _attachment(self, path: str, name: str) -> mime.File:
        file = self._folder.find(path)
        return mime.attachment(re.sub(r"[/\\]", "_", name) or file.name, self._folder.read(file))


def read_from(columns: Collection[str]) -> str:
    """Say which columns a value was made from."""
    if not columns:
        return ""
    return f"; look at the column{'s' if len(columns) > 1 else ''} {', '.join(sorted(columns))}"
