"""Reads the style sheets that HTML names by `<link rel="stylesheet">` or `@import`.

Local ones are read inside the campaign's folder, by the same rules as templates; their imports are replaced
by the imported text. Sheets on a server are never fetched, and their `@import` stays.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from urllib.parse import unquote

from campaign.errors import UserError
from campaign.message.html.stylesheet import Import, is_for_screens, read_sheet

_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


class SheetError(UserError):
    """A sheet that cannot be read; `written` is its address as the source has it."""

    def __init__(self, written: str, error: UserError) -> None:
        self.written = written
        super().__init__(*error.problems)


class Sheets:
    """Local style sheets, each read once.

    `read` takes a path from the campaign's folder and returns the text, or raises UserError. `folders`, also
    relative to it, are searched in order for a relative address.
    """

    def __init__(self, read: Callable[[str], str], folders: Sequence[str]) -> None:
        self._file = lru_cache(maxsize=64)(read)
        self._folders = tuple(dict.fromkeys(folders))

    def linked(self, address: str) -> str:
        """Return the text of a linked sheet, with its imports. Raises SheetError."""
        return self._read(address, self._folders, ())

    def with_imports(self, text: str) -> str:
        """Return the text of a `<style>`, with its imports. Raises SheetError."""
        return self._with_imports(text, self._folders, ())

    def _with_imports(self, text: str, folders: tuple[str, ...], within: tuple[str, ...]) -> str:
        sheet = read_sheet(text)
        local = [one for one in sheet.imports if is_local(one.address)]
        if not local:
            return text
        # Every @import comes before all rules.
        first = [sheet.text[one.start : one.end] for one in sheet.imports if one not in local]
        rest = sheet.text[max(one.end for one in sheet.imports) :]
        return "".join([sheet.layers, *first, *(self._imported(one, folders, within) for one in local), rest])

    def _imported(self, one: Import, folders: tuple[str, ...], within: tuple[str, ...]) -> str:
        text = self._read(one.address, folders, within)
        conditions = [*one.within, *([] if is_for_screens(one.media) else [f"@media {one.media}"])]
        for condition in reversed(conditions):
            text = f"{condition} {{\n{text}\n}}"
        return f"{text}\n"

    def _read(self, address: str, folders: tuple[str, ...], within: tuple[str, ...]) -> str:
        path = unquote(re.split(r"[?#]", address.strip(), maxsplit=1)[0])
        failed: UserError | None = None
        for folder in folders:
            name = posixpath.normpath(posixpath.join(folder, path))
            if name in within:
                return ""  # like browsers, read circular imports once
            try:
                text = self._file(name)
            except UserError as error:
                failed = error
            else:
                return self._with_imports(text, (posixpath.dirname(name),), (*within, name))
        raise SheetError(address, failed or UserError(f"there is no file {path}"))


def is_local(address: str) -> bool:
    """Whether an address of a style sheet has neither scheme nor host."""
    return bool(address.strip()) and _ELSEWHERE.match(address.strip()) is None
