"""Decode a list, and find out whether it really has the encoding that the campaign file names."""

from __future__ import annotations

import codecs
import io
from pathlib import Path

from campaign.campaignfile.octets import MOST_OF_A_LIST, open_file
from campaign.errors import Problem, UserError
from campaign.wording import shown

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins with UTF-16's
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8",
}
# Without a byte order mark: octets for a character, and which of them holds an ASCII letter.
_UNMARKED = {"utf-16-le": (2, 0), "utf-16-be": (2, 1), "utf-32-le": (4, 0), "utf-32-be": (4, 3)}
_BEGINNING = 200  # octets
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # the first octets of .xlsx and .ods, and of .xls
_GZIP = b"\x1f\x8b"
_UNDECODABLE = "\udcff"  # a lone surrogate, which no text has, replaces octets that cannot be decoded
_MARKING = "campaign.undecodable"
# In a one-octet encoding most octets from 128 on are a character; in Windows' Shift JIS only 68 are.
_OF_ONE_OCTET = 80


def _mark(error: UnicodeError) -> tuple[str, int]:
    return _UNDECODABLE, error.end if isinstance(error, UnicodeDecodeError) else 0


codecs.register_error(_MARKING, _mark)


def marked_encoding(path: Path) -> str:
    """Return the encoding of a file by its byte order mark, or by its NUL octets; else UTF-8.

    Raises UserError.
    """
    try:
        with open_file(path, MOST_OF_A_LIST) as file:
            beginning = file.read(_BEGINNING)
    except OSError as error:
        raise UserError(Problem(f"the file cannot be read: {error.strerror}", shown(path))) from None
    mark = next((name for octets, name in _MARKS.items() if beginning.startswith(octets)), "")
    return mark or _unmarked(beginning) or "utf-8"


class Encoding:
    """An encoding, by any of its names. Raises LookupError, with a sentence, for an unknown name."""

    def __init__(self, named: str) -> None:
        self._named = named
        try:
            self._codec = codecs.lookup(named).name
            if io.TextIOWrapper(io.BytesIO("a\n".encode(self._codec)), self._codec, _MARKING).read() != "a\n":
                raise ValueError
        except (LookupError, ValueError):
            raise LookupError(f"there is no encoding {named!r}; write one such as utf-8 or cp1252") from None
        self._takes_anything = _is_of_one_octet(self._codec)

    def __str__(self) -> str:
        return self._named.upper()

    @property
    def advice(self) -> str:
        """What to do about text that is not in this encoding."""
        if self._codec.startswith("utf-8"):
            return "save the list as UTF-8, or name its encoding with `recipients.encoding`, such as cp1252"
        return "if the list is UTF-8, remove `recipients.encoding`; otherwise name the right one"

    def open(self, path: Path, line_end: str = "\n") -> io.TextIOWrapper[io.BufferedReader]:
        """Open a list. Octets that cannot be decoded become lone surrogates: see `is_text`.

        Raises OSError, and UserError for a workbook or a byte order mark of another encoding. Reading
        raises UnicodeError if the encoding requires a byte order mark that the list does not have.
        """
        file = open_file(path, MOST_OF_A_LIST)
        beginning = file.read(_BEGINNING)
        file.seek(0)
        mark = next((name for octets, name in _MARKS.items() if beginning.startswith(octets)), "")
        wrong = ""
        if beginning.startswith(_WORKBOOKS):
            wrong = "the list is a workbook; save it as CSV"
        elif beginning.startswith(_GZIP):
            wrong = "the list is compressed (gzip); unpack it"
        elif not self._codec.startswith(mark):
            wrong = f"the list is {mark.upper()}; write `encoding: {mark}`, or save it as UTF-8"
        elif not mark and (unmarked := _unmarked(beginning)) not in ("", self._codec):
            without = f"the list is {unmarked.upper()} without a byte order mark"
            wrong = f"{without}; write `encoding: {unmarked}`, or save it as UTF-8"
        if wrong:
            file.close()
            raise UserError(Problem(wrong, shown(path)))
        codec = {"": self._codec, "utf-8": "utf-8-sig"}.get(mark, mark)
        return io.TextIOWrapper(file, codec, _MARKING, newline=line_end)

    def in_utf_8(self, text: str) -> str:
        """Return `text` read as UTF-8 if its octets are valid UTF-8, else "".

        A one-octet encoding can decode anything, also wrongly. But text in such an encoding is hardly ever
        valid UTF-8 by accident: if it is, the named encoding is wrong.
        """
        if not self._takes_anything or text.isascii():
            return ""
        try:
            return text.encode(self._codec).decode()
        except UnicodeError:
            return ""


def _unmarked(beginning: bytes) -> str:
    """Return which of UTF-16 and UTF-32 a text begins in, by its NUL octets; "" for neither.

    At least half of its characters must be in ASCII or Latin-1, as in the header of a list.
    """
    for name, (width, place) in _UNMARKED.items():
        whole = beginning[: len(beginning) // width * width]
        others = [octet for index, octet in enumerate(whole) if index % width != place]
        if others and 0 not in whole[place::width] and others.count(0) * 2 >= len(others):
            return name
    return ""


def is_text(text: str) -> bool:
    """Whether all of it was decoded: no lone surrogate replaces octets that could not be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_of_one_octet(codec: str) -> bool:
    """Whether the encoding is ASCII plus one character for each octet from 128 on."""
    try:
        octets = [bytes([octet]).decode(codec, "ignore") for octet in range(128, 256)]
        return "Az09".encode(codec) == b"Az09" and sum(map(bool, octets)) > _OF_ONE_OCTET
    except UnicodeError:
        return False
