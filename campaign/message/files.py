"""Reads attachments and images from their folder, and never anything outside of it.

A path may come from a cell of the list. Links are resolved before the path is checked. Hidden files such as
`.env` or `.git` are refused too.
"""

from __future__ import annotations

import os.path
import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.campaignfile.octets import MOST_OF_AN_ATTACHMENT, PRIVATE_KEY, is_same_file, read_file
from campaign.campaignfile.spelling import existing, meant
from campaign.errors import UserError
from campaign.message import mime
from campaign.message.headers import HeaderError
from campaign.templating.text import Items, Text
from campaign.wording import shown

if TYPE_CHECKING:  # its library is slow to load, and templates run without it
    from campaign.campaignfile.models import CampaignFile

_BLANK = Text(constant="")
_BEGINNING = 10_000  # octets in which a private key is looked for


class NoFile(UserError):
    """There is no such file; there may be a folder."""


class Folder:
    """`root` and what is below it, without the `private` files (the list, the ledger, secrets)."""

    def __init__(self, root: Path, private: Iterable[Path]) -> None:
        self.root = root.resolve()
        self._private = frozenset(Path(os.path.realpath(path)) for path in private)

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
            if found.exists() and not found.is_file() and not found.is_dir():
                raise UserError(f"{path!r} is a pipe or a device, not a file")
            if path and found.is_dir():
                raise NoFile(f"{path!r} is a folder; a file is expected")
            if not found.is_file():
                raise NoFile(f"there is no file {path!r}{self._where}{self._hint(path)}")
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
        """Return the octets of a file from `find`. Raises UserError with a sentence."""
        try:
            octets = read_file(path, MOST_OF_AN_ATTACHMENT)
        except OSError as error:
            raise UserError(f"{shown(path)} cannot be read: {error.strerror}") from None
        if not octets:
            raise UserError(f"{shown(path)} is empty: it has no octets")
        if PRIVATE_KEY.search(octets, 0, _BEGINNING):
            raise UserError(f"{shown(path)} is not for recipients: it holds a private key")
        return octets

    @property
    def _where(self) -> str:
        root = shown(self.root)
        return "" if root == "." else f" in {root}"

    def _hint(self, path: str) -> str:
        near = meant(self.root, path)
        return f"; did you mean {near!r}?" if near and near != path else ""

    def _is_ledger(self, path: Path) -> bool:
        return any(path.name.startswith(f"{private.name}-") for private in self._private)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of `attachments`: a file, or a file for each item of a list.

    `named_by` are the columns in its path, and `columns` those in its path or name.
    """

    number: int
    path: Text | Items
    name: Text | Items
    named_by: frozenset[str]
    columns: frozenset[str]

    @classmethod
    def of(cls, number: int, texts: Mapping[str, Text], lists: Mapping[str, Items]) -> _Entry:
        """Return entry number `number`; templates are given by place."""
        at = f"attachments.{number}"
        path, name = texts[f"{at}.path"], texts.get(f"{at}.name", _BLANK)
        each = texts.get(f"{at}.each", _BLANK).columns
        files, names = lists.get(f"{at}.path", path), lists.get(f"{at}.name", name)
        return cls(number, files, names, frozenset(path.shown) | each, path.columns | name.columns | each)

    @property
    def is_static(self) -> bool:
        """Whether it is the same for every row."""
        return all(isinstance(one, Text) and one.constant is not None for one in (self.path, self.name))

    def asked(self, context: Mapping[str, object]) -> list[tuple[str, str]]:
        """Return a row's (path, name) pairs, without blank paths; the name is "" for the file's own."""
        paths = self.path.of(context) if isinstance(self.path, Items) else [self.path.render(context)]
        names = repeat(self.name.render(context)) if isinstance(self.name, Text) else self.name.of(context)
        pairs = ((path.strip(), name.strip()) for path, name in zip(paths, names, strict=False))
        return [(path, name) for path, name in pairs if path]


class Attachments:
    """A campaign's attachments: `static` are those of every message, and `of` returns a row's own.

    `texts` are the templates of paths and names, by place, and `lists` those that give several files.
    `named_by`: number of an attachment → the columns in its path. Raises UserError with the problem of a
    static one.
    """

    def __init__(
        self,
        campaign: CampaignFile,
        folder: Folder,
        texts: Mapping[str, Text],
        lists: Mapping[str, Items],
    ) -> None:
        self._campaign = campaign
        self._folder = folder
        self._read = lru_cache(maxsize=16)(self._attachment)
        entries = [_Entry.of(number, texts, lists) for number, _ in enumerate(campaign.attachments)]
        self._per_row = [entry for entry in entries if not entry.is_static]
        self.named_by = {entry.number: entry.named_by for entry in self._per_row}
        self.static = [file for entry in entries if entry.is_static for file in self._files(entry, {})]
        self._stamps = array("q")  # row number → hash of its files' stamps when it was first rendered

    def of(self, context: Mapping[str, object], row: int) -> list[mime.File]:
        """Return the files of row number `row`, without those whose path is blank.

        Raises UserError; also if a file has changed since the row was first rendered.
        """
        found = [file for entry in self._per_row for file in self._files(entry, context)]
        if found:
            self._refuse_changed(context, row)
        return found

    def named(self, context: Mapping[str, object]) -> list[tuple[int, str, str]]:
        """Return a row's files: the number of the entry, the path, and the name, which may be ""."""
        return [(entry.number, path, name) for entry in self._per_row for path, name in entry.asked(context)]

    def asked(self, context: Mapping[str, object]) -> list[Path]:
        """Return the files that a row names, without reading them. Raises UserError."""
        return [self._folder.find(path) for path in self._asked(context)]

    def _asked(self, context: Mapping[str, object]) -> list[str]:
        return [path for entry in self._per_row for path, _ in entry.asked(context)]

    def _refuse_changed(self, context: Mapping[str, object], row: int) -> None:
        asked = self._asked(context)
        stamp = hash(tuple(map(self._folder.stamp, asked))) or 1
        if len(self._stamps) <= row:
            self._stamps.frombytes(bytes(self._stamps.itemsize * (row + 1 - len(self._stamps))))
        if self._stamps[row] not in (0, stamp):
            what = f"{' or '.join(asked)} is gone, or has changed since the plan was made"
            raise UserError(self._campaign.problem("attachments", what))
        self._stamps[row] = stamp

    def _files(self, entry: _Entry, context: Mapping[str, object]) -> Iterator[mime.File]:
        for path, name in entry.asked(context):
            try:
                yield self._read(path, name)
            except (UserError, HeaderError) as error:
                what = error.problems[0].message if isinstance(error, UserError) else str(error)
                place = self._campaign.problem(f"attachments.{entry.number}", what + read_from(entry.columns))
                same = "no file" if isinstance(error, NoFile) else ""  # counts as the same for all names
                raise UserError(replace(place, same=same)) from None

    def _attachment(self, path: str, name: str) -> mime.File:
        file = self._folder.find(path)
        return mime.attachment(re.sub(r"[/\\]", "_", name) or file.name, self._folder.read(file))


def read_from(columns: Collection[str]) -> str:
    """Return a hint at the columns that a value was made from, "" for none."""
    if not columns:
        return ""
    return f"; look at the column{'s' if len(columns) > 1 else ''} {', '.join(sorted(columns))}"
