"""Read the parts of a workbook: XML members of a ZIP file (ECMA-376-2), piece by piece.

A workbook is untrusted. So no part is in memory as a whole; its size is checked before it is unpacked; and
a part with a DOCTYPE, which could declare entities, is refused: no workbook has one (ECMA-376-2 8.1.4).
"""

from __future__ import annotations

import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import NoReturn
from xml.parsers import expat

from campaign.wording import size

LARGEST = 500_000_000
"""Octets of the largest file that is read as a workbook: a full sheet has a million rows."""

_LARGEST_PART = 2_000_000_000  # octets, unpacked
_LARGEST_SMALL = 50_000_000  # octets of a part other than sheets and strings
_LARGEST_DIRECTORY = 1_000_000  # octets of the list of members, which is read into memory
_MOST_ELEMENTS = 1_000_000  # in a small part
_SUSPECT, _MOST_PACKED = 20_000_000, 250  # larger parts have a compression ratio of 10 to 60, not 1000
_PIECE = 1 << 16
_LONGEST_MARKUP = 1 << 20  # octets of one tag, or comment
_END = struct.Struct("<4s4H2LH")  # the end of the list of members (APPNOTE.TXT 4.3.16)
_END_64 = b"PK\x06\x07"
_ENCRYPTED = 1  # a bit of a member's flags
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # ECMA-376-2 annex C.2


class Unreadable(ValueError):
    """The workbook cannot be read; the message says why, for the user."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A reference to another part: the last word of the relation's type, and the part's name."""

    kind: str
    target: str


class Parts:
    """The parts of a workbook in an open file. Names ignore case.

    Raises Unreadable, here and when a part is read.
    """

    def __init__(self, file: BufferedReader) -> None:
        _check_directory(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError) as error:
            raise Unreadable(f"it is damaged or incomplete ({error})") from None
        self._members = {_name(info.filename): info for info in self._zip.infolist()}

    def __contains__(self, name: str) -> bool:
        return _name(name) in self._members

    def __iter__(self) -> Iterator[str]:
        return (info.filename for info in self._zip.infolist())

    def size(self, name: str, most: int = _LARGEST_PART) -> int:
        """Return a part's unpacked size in octets. Raises Unreadable if it is missing or too large."""
        info = self._members.get(_name(name))
        if info is None:
            raise Unreadable(f"its part {name} is missing")
        if info.flag_bits & _ENCRYPTED:
            raise Unreadable("it is encrypted; save it without a password")
        if info.compress_type not in _PACKINGS:
            raise Unreadable(f"its part {name} is compressed in a way that no workbook uses")
        if info.file_size > most:
            raise Unreadable(f"its part {name} has {size(info.file_size)}; at most {size(most)} are read")
        if info.file_size > _SUSPECT and info.file_size > _MOST_PACKED * max(1, info.compress_size):
            packed = f"{size(info.compress_size)} that become {size(info.file_size)}"
            raise Unreadable(f"its part {name} has {packed}, which is no sheet of a list")
        return info.file_size

    def feed(self, name: str, parser: expat.XMLParserType) -> Iterator[int]:
        """Feed a part to the parser, and yield after each piece how many octets it has read."""
        self.size(name)
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.buffer_text = True
        fed = 0
        try:
            with self._zip.open(self._members[_name(name)]) as part:
                while piece := part.read(_PIECE):
                    parser.Parse(piece, False)
                    fed += len(piece)
                    if fed - parser.CurrentByteIndex > _LONGEST_MARKUP:
                        raise Unreadable(f"its part {name} has a tag of more than {size(_LONGEST_MARKUP)}")
                    yield fed
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise Unreadable(f"its part {name} is broken ({error})") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
            raise Unreadable(f"its part {name} cannot be unpacked ({error})") from None

    def elements(self, name: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield name and attributes of each element of a small part, both without XML prefixes."""
        self.size(name, _LARGEST_SMALL)
        found: list[tuple[str, Mapping[str, str]]] = []

        def start(element: str, attributes: dict[str, str]) -> None:
            found.append((local(element), {local(key): value for key, value in attributes.items()}))

        parser = expat.ParserCreate()
        parser.StartElementHandler = start
        count = 0
        for _ in self.feed(name, parser):
            count += len(found)
            if count > _MOST_ELEMENTS:
                raise Unreadable(f"its part {name} has more than {_MOST_ELEMENTS:,} elements")
            yield from found
            found.clear()
        yield from found

    def relations(self, name: str) -> dict[str, Relation]:
        """Return the relations of a part by their ids; `name` is "" for those of the whole workbook."""
        folder, _, file = name.rpartition("/")
        part = posixpath.join(folder, "_rels", f"{file}.rels")
        if part not in self:
            return {}
        return {
            at.get("Id", ""): Relation(
                at.get("Type", "").rpartition("/")[2], _resolved(folder, at.get("Target", ""))
            )
            for element, at in self.elements(part)
            if element == "Relationship" and at.get("TargetMode") != "External"
        }


def local(name: str) -> str:
    """Return an XML name without its prefix."""
    return name.rpartition(":")[2]


def _name(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").casefold()


def _resolved(folder: str, target: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")


def _refuse_doctype(*_: object) -> NoReturn:
    raise Unreadable("one of its parts declares a DOCTYPE, which no workbook does")


def _check_directory(file: BufferedReader) -> None:
    """Check the length of the list of members before it is read."""
    length = file.seek(0, 2)
    file.seek(max(0, length - _END.size - 65535))
    tail = file.read()
    file.seek(0)
    at = len(tail) - _END.size
    if at < 0 or tail[at : at + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":  # a comment follows
        at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise Unreadable("it is damaged or incomplete")
    _, _, _, _, _, directory, _, _ = _END.unpack_from(tail, at)
    # ZIP64, a list of its own, is for more than 4 GB or 65535 members.
    if directory > _LARGEST_DIRECTORY or tail[max(0, at - 20) :].startswith(_END_64):
        raise Unreadable("it has more parts than a workbook has")
