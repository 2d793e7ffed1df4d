"""The files that belong to a campaign, which no command may overwrite.

    own = OwnFiles(campaign.file)
    own.named(path)      -> "recipients.csv", "templates.html", "included by templates.html", or ""
    own.reachable(path)  -> "attachments, entry 1: path" if a row's cells could name it, or ""

They are read from the YAML itself, not from a `CampaignFile`: `export` must not overwrite a list even if
another setting is wrong. These files count: every text in the YAML that is the path of a file; the ledger
with the files that SQLite keeps beside it; the templates that templates include; the images and style
sheets that these name. Symbolic links are followed; hard links are found by device and inode.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment, TemplateSyntaxError
from jinja2.meta import find_referenced_templates

from campaign.campaignfile.identity import identify
from campaign.campaignfile.location import Location, files_of, read_location
from campaign.campaignfile.yamlmarks import read
from campaign.errors import UserError
from campaign.message.html.markup import value_of
from campaign.templating.loader import SUFFIXES

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
# An image or style sheet that HTML, CSS or Markdown names.
_SOURCE = re.compile(
    r"""\b(?:src|background|href)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)|url\(([^()]*)\)|!\[[^\]]*\]\(([^()\s]*)
    |@import\s*("[^"]*"|'[^']*')""",
    re.IGNORECASE | re.VERBOSE,
)
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".ico")
_LEDGER = "ledger"


def _ending(endings: Collection[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, sorted(endings)))})"


_ANY_TEMPLATE = re.compile(f".*{_ending(SUFFIXES)}", re.IGNORECASE | re.DOTALL)


# The first words of what `named` returns for files that messages are made of.
_INCLUDED, _SHOWN = "included by ", "shown by "
_OF_MESSAGES = ("templates.", "calendar", "attachments", _INCLUDED, _SHOWN)


@dataclass(frozen=True, slots=True)
class Content:
    """The `files` that messages are made of, links resolved, and the `images` that a row could name.

    `unknown` names what includes a template whose name only a row gives.
    """

    files: tuple[Path, ...]
    images: tuple[Path, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Files below `root` whose paths from there match `path`."""

    root: Path
    path: re.Pattern[str]
    what: str

    def files(self) -> Iterator[Path]:
        """Yield the files."""
        for folder, _, names in os.walk(self.root):
            for name in names:
                file = Path(folder, name)
                if self.path.fullmatch(file.relative_to(self.root).as_posix()):
                    yield file

    def finds(self, wanted: os.stat_result) -> bool:
        """Whether one of the files has this device and inode."""
        return any(_is(file, wanted) for file in self.files())


class OwnFiles:
    """Finds out what names a file. Nothing is read before the first question."""

    def __init__(self, file: Path) -> None:
        self._file = file.absolute()

    def named(self, path: Path) -> str:
        """Return what names the file at `path`, whether it exists or not, or ""."""
        return _what_names(path, self._read.named)

    def reachable(self, path: Path) -> str:
        """Return what could name the existing file at `path` for some row, or ""."""
        status = _status(path)
        if status is None:
            return ""
        return next((pattern.what for pattern in self._read.patterns if pattern.finds(status)), "")

    def content(self) -> Content:
        """Return the files that messages are made of, without the attachments of single rows."""
        files = [path for path, what in self._read.named.items() if what.startswith(_OF_MESSAGES)]
        images = [pattern for pattern in self._read.patterns if pattern.what.startswith(_SHOWN)]
        unknown = [pattern.what for pattern in self._read.patterns if pattern.what.startswith(_INCLUDED)]
        found = {file.resolve() for pattern in images for file in pattern.files()}
        return Content(tuple(files), tuple(sorted(found.difference(files))), tuple(unknown))

    @cached_property
    def _read(self) -> _Reading:
        return _Reading(self._file)


class LedgerFiles:
    """The files of a ledger, for a command that does not concern a single campaign."""

    def __init__(self, location: Location) -> None:
        self._named = {_place(file): _LEDGER for file in files_of(location)}

    def named(self, path: Path) -> str:
        """Return "ledger" if the file at `path` is one of its files, else ""."""
        return _what_names(path, self._named)

    def reachable(self, path: Path) -> str:
        """No row names a file here."""
        return ""


class _Reading:
    """What a campaign file and its templates name: exact paths (`named`), and `patterns`."""

    def __init__(self, file: Path) -> None:
        self.named: dict[Path, str] = {}
        self.patterns: list[_Pattern] = []
        self._folder = file.parent
        values = _values(file)
        root = values.get("attachments_root")
        self._root = self._folder / _expanded(root if isinstance(root, str) else ".")
        self._templates: dict[str, str] = {}  # texts, by what names them
        self._beside = {self._folder}  # where the style sheets of templates are looked up
        self._add(file, "the campaign file")
        with suppress(ValueError):
            for ledger in files_of(read_location(values.get(_LEDGER, "ledger.db"), self._folder)):
                self.named.setdefault(_place(ledger), _LEDGER)  # whether it exists or not
        self._add_texts(values, self._folder)
        smtp = values.get("smtp")
        if isinstance(smtp, str):
            shared = self._folder / _expanded(smtp)
            self._add_texts(_values(shared), shared.parent)
        self._add_templates()
        with suppress(UserError):  # loading the file reports its errors
            for path in identify(file).named_files:  # also those that do not exist
                self.named.setdefault(_place(path), "named by the campaign file")

    def _add(self, path: Path, what: str) -> bool:
        """Add a path; return whether an existing file is there."""
        try:
            place = _place(path)
            if not place.is_file():
                return False
        except (OSError, ValueError):  # the text is not a path
            return False
        self.named.setdefault(place, what)
        return True

    def _add_texts(self, values: Mapping[str, Any], folder: Path) -> None:
        for what, text in _texts(values):
            if "{%" in text:
                self._templates[what] = text
            if _JINJA.search(text):
                if what.startswith("attachments") and not what.endswith(": each"):
                    self.patterns.append(_Pattern(self._root, _pattern(text), what))
                continue
            for base in (folder, self._root):
                if self._add(base / _expanded(text), what) and what.startswith(("templates.", "calendar")):
                    self._templates[what] = _text(base / _expanded(text))
                    self._beside.add((base / _expanded(text)).parent)

    def _add_templates(self) -> None:
        """Add the files that the templates include, and those that they show."""
        env = Environment(autoescape=True)  # only parses: filters and a loader are not needed
        left = list(self._templates.items())
        seen: set[str] = set()
        while left:
            name, text = left.pop()
            for included in _included(env, text):
                if included is None:
                    self.patterns.append(_Pattern(self._folder, _ANY_TEMPLATE, f"included by {name}"))
                elif included not in seen:
                    seen.add(included)
                    if self._add(self._folder / included, f"included by {name}"):
                        left.append((included, _text(self._folder / included)))
            for source in _sources(text):
                if not _JINJA.search(source):
                    self._add(self._root / source, f"shown by {name}")
                    self._add_sheets(source, self._beside, name)
                else:
                    self.patterns.append(_Pattern(self._root, _image(source), f"shown by {name}"))

    def _add_sheets(self, source: str, folders: Collection[Path], name: str) -> None:
        """Add a style sheet that a template or another sheet names, and those that it imports."""
        for folder in folders if source.lower().endswith(".css") else ():
            sheet = _place(folder / source)
            if sheet not in self.named and self._add(sheet, f"shown by {name}"):
                for imported in _sources(_text(sheet)):
                    self._add_sheets(imported, [sheet.parent], name)


def _what_names(path: Path, named: Mapping[Path, str]) -> str:
    place, status = _place(path), _status(path)
    for own, what in named.items():
        if own == place or (status is not None and _is(own, status)):
            return what
        # SQLite's -wal, -shm and -journal, and our -reserve.
        if what == _LEDGER and place.parent == own.parent and place.name.startswith(f"{own.name}-"):
            return what
    return ""


def _values(file: Path) -> Mapping[str, Any]:
    """Return the keys and values of a YAML file, or nothing if it cannot be read."""
    try:
        value = read(file).value
    except UserError:
        return {}
    return value if isinstance(value, dict) else {}


def _texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in a YAML value, after its place in words; skip `name`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        joint = ": " if ", entry" in path else "."
        for key, inner in value.items():
            if key != "name":
                yield from _texts(inner, f"{path}{joint}{key}" if path else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            yield from _texts(inner, f"{path}, entry {number}")


def _included(env: Environment, text: str) -> list[str | None]:
    """Return the names of the templates that a template includes; None for one whose name is a value."""
    try:
        return list(find_referenced_templates(env.parse(text)))
    except TemplateSyntaxError:
        return [None]  # it may include anything


def _sources(text: str) -> Iterator[str]:
    for match in _SOURCE.finditer(text):
        source = value_of((match[1] or match[2] or match[3] or match[4] or "").strip("\"' \t\n"))
        yield source if _JINJA.search(source) else unquote(re.split(r"[?#]", source, maxsplit=1)[0])


def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern that matches the paths that a template can give: anything in place of each tag."""
    literal = posixpath.normpath(_JINJA.sub("\0", text.strip()))
    return re.compile(".*".join(map(re.escape, literal.split("\0"))), re.DOTALL)


def _image(text: str) -> re.Pattern[str]:
    """The same for an image; its name has one of a few extensions."""
    return re.compile(f"(?=.*{_ending(_IMAGES)}$){_pattern(text).pattern}", re.IGNORECASE | re.DOTALL)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig", errors="replace")
    except OSError:
        return ""


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~name of a user who does not exist
        return Path(text)


def _place(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _is(path: Path, status: os.stat_result) -> bool:
    own = _status(path)
    return own is not None and os.path.samestat(own, status)
