"""Garbled letters, such as "JÃ¶rg" or "donâ€™t", and lost ones (`�`).

They come from a program that read UTF-8 as Windows-1252 or Mac Roman. They are reported in templates, in
`vars`, in names of attachments, and in cells that a message uses. So are U+202D and U+202E, which reverse
the direction of the text after them: filters take that for deceit. In cells that a message uses, so are a
spreadsheet's errors, such as #N/A, and `="01234"`, which some programs export for a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from campaign.checks.checked import Surveyed
from campaign.checks.finding import Finding
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.model import Recipient


def _as_windows(octet: int) -> str:
    """Return an octet decoded as Windows-1252; the five that it lacks, as programs decode them."""
    return bytes([octet]).decode("cp1252" if octet not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "latin-1")


_WINDOWS = {_as_windows(octet): octet for octet in range(0x80, 0x100)}
_WINDOWS |= {chr(octet): octet for octet in range(0x80, 0xA0)}  # as Latin-1 has them
_MAC = {bytes([octet]).decode("mac_roman"): octet for octet in range(0x80, 0x100)}
# What can follow the first octet of a letter. Some of it follows letters in normal text too: „Spaß“, IRMÃ…
_PUNCTUATION = "\xa0\xbb’“”–—…"
_FOLLOWS = "".join(one for one, octet in _WINDOWS.items() if octet < 0xC0 and one not in _PUNCTUATION)
_ANY = re.escape(_FOLLOWS + _PUNCTUATION)
_ON_A_MAC = re.escape("".join(one for one, octet in _MAC.items() if octet < 0xC0))
_LETTER = r"[^\W\d_]"
_GARBLED = re.compile(
    rf"[ÂÃÄÅÎÏÐÑ](?:[{re.escape(_FOLLOWS)}]|[{_PUNCTUATION}](?=\w))"  # letters of Europe
    rf"|Â\xa0|(?<!{_LETTER})Ã\xa0"  # a no-break space; à
    rf"|È[˜™š›\x98-\x9b](?={_LETTER})"
    rf"|â(?:[€\x80][{_ANY}]|[„\x84]¢|[‚\x82]¬)|ï»¿|ï¿½"  # quotation marks, dashes, ™, €; a byte order mark; �
    rf"|(?:[à-í][{_ANY}]{{2}}){{2,}}"  # letters of Asia
    rf"|ð[Ÿ\x9f][{_ANY}]{{2}}"  # emoji
    rf"|√[{_ON_A_MAC}](?={_LETTER})|(?<={_LETTER})√[{_ON_A_MAC}]|‚Ä[ôúùìîò¶¢]|‚Ç¨|¬©"  # a Mac
)
_LOST = re.compile("\ufffd")
_TURNS = re.compile("[\u202d\u202e]")
# As Excel, LibreOffice and Google Sheets write them, in the languages of Europe.
_ERRORS = frozenset(
    f"#{name}"
    for name in [
        "N/A", "N/D", "N/B", "NV", "ND", "VALUE!", "WERT!", "VALEUR!", "¡VALOR!", "VALOR!", "VALORE!",
        "WAARDE!", "ARG!", "REF!", "¡REF!", "BEZUG!", "RIF!", "VERW!", "ADR!", "DIV/0!", "¡DIV/0!",
        "DEEL/0!", "DZIEL/0!", "NAME?", "NOM?", "¿NOMBRE?", "NOME?", "NAAM?", "NAZWA?", "NUM!", "¡NUM!",
        "ZAHL!", "NOMBRE!", "GETAL!", "LICZBA!", "NULL!", "NUL!", "¡NULO!", "NULO!", "NULLO!", "LEEG!",
        "ZERO!", "ERROR!", "SPILL!", "CALC!", "FIELD!", "GETTING_DATA",
    ]
)  # fmt: skip
_BEGINNINGS = ("#", "=")
_FORMULA = re.compile('="[^"]*"')
_ANEW = "export the list again as UTF-8, or name its encoding in `recipients.encoding`"
_AROUND = 30  # characters that are shown on each side of the fault


class _Fault(NamedTuple):
    """A fault of a text: its kind, its description, and what to do if the text is in the list."""

    kind: str
    words: str
    remedy: str


class Check(Rule):
    """Reports garbled and lost letters."""

    most: ClassVar[int] = 10_000  # a few for each column; only columns that a message uses are reported

    def read(self, recipient: Recipient) -> Iterator[Finding]:
        for column, cell in recipient.row.items():
            fault = _of_a_spreadsheet(cell) if cell[:1] in _BEGINNINGS else None
            fault = fault or (_fault(cell) if not cell.isascii() else None)
            if fault is not None:
                what = f"{column} has {fault.words}; {fault.remedy}"
                yield self.find(self.warn_list(what, recipient.line), f"{column}\0{fault.kind}")

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning for each faulty column that a message uses, and each faulty line of a template."""
        shown = surveyed.renderer.columns | surveyed.recipients.name_columns
        for key in [key for key in found.by_key if key.partition("\0")[0] not in shown]:
            del found.by_key[key]
        yield from found.problems(surveyed.survey.messages)
        for name, source in self.checked.sources.all.items():
            at = 0
            for line in source.split("\n") if not source.isascii() else ():
                if (fault := _fault(line)) is not None:
                    yield self.at(self.checked.sources.at(name, at), f"here stands {fault.words}")
                at += len(line) + 1
        content = self.checked.content
        for path in content.under("attachments"):
            if path not in self.checked.sources.all and (fault := _fault(content.inline[path])) is not None:
                yield self.at(content.problem(path, ""), f"here stands {fault.words}")
        campaign = surveyed.campaign
        for path, text in (*texts_in("vars", campaign.vars), ("recipients.name", campaign.recipients.name)):
            if text is not None and (fault := _fault(text)) is not None:
                yield self.warn_file(surveyed, path, f"here stands {fault.words}")


def texts_in(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield every text in a value, after its place."""
    match value:
        case str():
            yield path, value
        case list():
            for index, item in enumerate(value):
                yield from texts_in(f"{path}.{index}", item)
        case Mapping():
            for key, item in value.items():
                yield from texts_in(f"{path}.{key}", item)


def _of_a_spreadsheet(cell: str) -> _Fault | None:
    """Return what is wrong with a cell that only a spreadsheet understands, if it is one."""
    if cell in _ERRORS:
        return _Fault("error", f"{cell}, an error of the spreadsheet", "correct it there")
    if _FORMULA.fullmatch(cell):
        return _Fault("formula", f"{cell}, which spreadsheets show as {cell[2:-1]}", "export the text itself")
    return None


def _fault(text: str) -> _Fault | None:
    """Return one fault of a text, if it has any."""
    if (found := _GARBLED.search(text)) is not None:
        word = _word(text, found)
        meant = _mended(word)
        was = f" for {meant!r}" if meant is not None else ""
        return _Fault("garbled", f"{word!r}{was}: UTF-8 that was read as another encoding", _ANEW)
    if (found := _LOST.search(text)) is not None:
        return _Fault("lost", f"{_word(text, found)!r}: a character was lost", _ANEW)
    if (found := _TURNS.search(text)) is not None:
        what = (
            f"U+{ord(found[0]):04X} changes the direction of the text after it; filters take that for deceit"
        )
        return _Fault("turned", what, "take it out")
    return None


def _word(text: str, found: re.Match[str]) -> str:
    """Return the match with the characters around it, up to a space."""
    before, after = text[: found.start()].split(" ")[-1], text[found.end() :].split(" ")[0]
    return f"{before[-_AROUND:]}{found[0]}{after[:_AROUND]}".strip("\t\r\n")


def _mended(word: str) -> str | None:
    """Return the word as it was before it was garbled, or None if that is not known."""
    for letters in (_WINDOWS, _MAC):
        try:
            return bytes(letters[one] if one > "\x7f" else ord(one) for one in word).decode()
        except (KeyError, UnicodeDecodeError):
            continue
    return None
