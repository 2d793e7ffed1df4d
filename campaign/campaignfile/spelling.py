"""A file's path as it was written → the file as it is named on disk, or a guess at what was meant.

Macs and their archives write `Zoë` as Z, o, e and a combining diaeresis (NFD), and keyboards write it
with one ë (NFC): to a file system these are two names, and to a person one.
"""

from __future__ import annotations

import functools
import os
import unicodedata
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

_MOST = 100_000  # entries of a folder that are compared


def existing(root: Path, written: str) -> Path:
    """Return the path `written`, from `root`, with the composition that its parts have on disk.

    Where there is no such file, the path as it is written.
    """
    path = root / written
    if written.isascii() or os.path.lexists(path):
        return path
    return functools.reduce(lambda folder, part: _entry(folder, part, _composed), Path(written).parts, root)


def meant(root: Path, written: str) -> str:
    """Return the path of a file in `root` that `written` may mean, as it would be written; "" for none.

    Another case, backslashes, a `file:` address, or a path of another machine: no other name is
    guessed, as one person's letter must not become a near miss of another's.
    """
    plain = unquote(written.partition(":")[2]).lstrip("/") if written.lower().startswith("file:") else written
    parts = [part for part in plain.replace("\\", "/").split("/") if part not in ("", ".")]
    for start in range(len(parts)):
        found = functools.reduce(
            lambda folder, part: _entry(folder, part, _without_case), parts[start:], root
        )
        if ".." not in parts and found.is_file():
            return found.relative_to(root).as_posix()
    return ""


def _entry(folder: Path, part: str, form: Callable[[str], str]) -> Path:
    """The entry of a folder that `part` names, or else one that has the same form."""
    exact = folder / part
    if os.path.lexists(exact):
        return exact
    try:
        return folder / _names(folder, folder.stat().st_mtime_ns, form).get(form(part), part)
    except OSError:
        return exact


@functools.lru_cache(maxsize=4)
def _names(folder: Path, _changed: int, form: Callable[[str], str]) -> Mapping[str, str]:
    """The entries of a folder by their form, as it was when it last changed: many rows may ask."""
    with os.scandir(folder) as entries:
        return {form(name): name for name in sorted(entry.name for entry in islice(entries, _MOST))}


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _without_case(name: str) -> str:
    return _composed(name.casefold())
