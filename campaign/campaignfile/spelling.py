"""Find the file that a written path means, although its name on disk has another spelling.

Macs and their archives write `Zoë` as Z, o, e and a combining diaeresis (NFD); keyboards write it with one
ë (NFC). To a file system these are two names; people see one.
"""

from __future__ import annotations

import difflib
import functools
import os
import unicodedata
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

_MOST = 100_000  # entries of a folder that are compared


def existing(root: Path, written: str) -> Path:
    """Return the path `written`, from `root`, in the Unicode form that its parts have on disk.

    If there is no such file, return it as it is written.
    """
    path = root / written
    if written.isascii() or os.path.lexists(path):
        return path
    return functools.reduce(lambda folder, part: _entry(folder, part, _composed), Path(written).parts, root)


def meant(root: Path, written: str) -> str:
    """Return the path of a file in `root` that `written` may mean, or "".

    It handles another case, backslashes, a `file:` address, and a path on another machine. It suggests no
    similar names, because that may be another person's letter.
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


def similar(path: Path, suffixes: Collection[str] = ()) -> str:
    """Return a hint at a file with a similar name in the folder of `path`, "" for none.

    Names are compared up to their first dot: `body.txt` may mean `body.txt.j2`. With `suffixes`, only files
    with one of them are suggested.
    """
    try:
        with os.scandir(path.parent) as entries:
            names = [
                entry.name for entry in islice(entries, _MOST) if not entry.is_dir(follow_symlinks=False)
            ]
    except (OSError, ValueError):
        return ""
    stems: dict[str, list[str]] = {}
    for name in names:
        if not name.startswith(".") and (not suffixes or Path(name).suffix.lower() in suffixes):
            stems.setdefault(name.partition(".")[0], []).append(name)
    near = difflib.get_close_matches(path.name.partition(".")[0], stems, 1, 0.7)
    best = difflib.get_close_matches(path.name, stems[near[0]], 1, 0) if near else []
    return f"; did you mean {best[0]!r}?" if best else ""


def _entry(folder: Path, part: str, form: Callable[[str], str]) -> Path:
    """Return the entry of a folder that `part` names, or else one with the same form."""
    exact = folder / part
    if os.path.lexists(exact):
        return exact
    try:
        return folder / _names(folder, folder.stat().st_mtime_ns, form).get(form(part), part)
    except OSError:
        return exact


@functools.lru_cache(maxsize=4)
def _names(folder: Path, _changed: int, form: Callable[[str], str]) -> Mapping[str, str]:
    """Return the entries of a folder by their form; cached until it changes, since many rows may ask."""
    with os.scandir(folder) as entries:
        return {form(name): name for name in sorted(entry.name for entry in islice(entries, _MOST))}


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _without_case(name: str) -> str:
    return _composed(name.casefold())
