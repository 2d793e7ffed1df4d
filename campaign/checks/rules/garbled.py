"""Letters that were garbled on the way here, such as "JÃ¶rg" or "donâ€™t", and a `�` in place of one.

UTF-8 that a program read as Windows-1252 or as a Mac's letters, and what was lost, are told in templates, in
`vars`, in attachments' names, and in cells that a message shows. So are U+202D and U+202E, behind which a
text reads in another direction than it is written: filters take that for deceit. Of cells that a message
shows, so are a spreadsheet's errors, such as #N/A, and `="01234"`, which some programs export for a text.
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
    """Return what Windows-1252 makes of an octet; of the five that it lacks, what programs do."""
    return bytes([octet]).decode("cp1252" if octet not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "latin-1")


_WINDOWS = {_as_windows(octet): octet for octet in range(0x80, 0x100)}
_WINDOWS |= {chr(octet): octet for octet in range(0x80, 0xA0)}  # as Latin-1 has them
_MAC = {bytes([octet]).decode("mac_roman"): octet for octet in range(0x80, 0x100)}
# What follows the first octet of a letter. Some of it follows a letter in plain text too: „Spaß“, IRMÃ…
_PUNCTUATION = "\xa0\xbb’“”–—…"
_FOLLOWS = "".join(one for one, octet in _WINDOWS.items() if octet < 0xC0 and one not in _PUNCTUATION)
_ANY = re.escape(_FOLLOWS + _PUNCTUATION)
_ON_A_MAC = re.escape("".join(one for one, octet in _MAC.items() if octet < 0xC0))
_LETTER = r"[^\W\d_]"
_GARBLED = re.compile(
    rf"[ÂÃÄÅÎÏÐÑ](?:[{re.escape(_FOLLOWS)}]|[{_PUNCTUATION}](?=\w))"  # letters of Europe
    rf"|Â\xa0|(?<!{_LETTER})Ã\xa0"  # a blank that does not break; à
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
_AROUND = 30  # characters that are shown on each side of what was found


class _Fault(NamedTuple):
    """What is wrong with a text: its kind, in words, and what to do where it stands in the list."""

    kind: str
    words: str
    remedy: str


class Check(Rule):
    """See the module."""

    most: ClassVar[int] = 10_000  # a few for each column, of which those count that a message shows

    def read(self, recipient: Recipient) -> Iterator[Finding]:
        for column, cell in recipient.row.items():
            fault = _of_a_spreadsheet(cell) if cell[:1] in _BEGINNINGS else None
            fault = fault or (_fault(cell) if not cell.isascii() else None)
            if fault is not None:
                what = f"{column} has {fault.words}; {fault.remedy}"
                yield self.find(self.warn_list(what, recipient.line), f"{column}\0{fault.kind}")

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning for each column that a message shows, and for each line of a template."""
        shown = surveyed.renderer.shown.keys() | surveyed.recipients.name_columns
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
        for path, text in (*_texts("vars", campaign.vars), ("recipients.name", campaign.recipients.name)):
            if text is not None and (fault := _fault(text)) is not None:
                yield self.warn_file(surveyed, path, f"here stands {fault.words}")


def _texts(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield every text in a value, with its place."""
    match value:
        case str():
            yield path, value
        case list():
            for index, item in enumerate(value):
                yield from _texts(f"{path}.{index}", item)
        case Mapping():
            for key, item in value.items():
                yield from _texts(f"{path}.{key}", item)


def _of_a_spreadsheet(cell: str) -> _Fault | None:
    """Return what is wrong with a cell that only a spreadsheet understands, if it is one."""
    if cell in _ERRORS:
        return _Fault("error", f"{cell}, an error of the spreadsheet", "correct it there")
    if _FORMULA.fullmatch(cell):
        return _Fault("formula", f"{cell}, which spreadsheets show as {cell[2:-1]}", "export the text itself")
    return None


def _fault(text: str) -> _Fault | None:
    """Return what is wrong with a text, if anything; of several faults one."""
    if (found := _GARBLED.search(text)) is not None:
        word = _word(text, found)
        meant = _mended(word)
        was = f" for {meant!r}" if meant is not None else ""
        return _Fault("garbled", f"{word!r}{was}: UTF-8 that was read as another encoding", _ANEW)
    if (found := _LOST.search(text)) is not None:
        return _Fault("lost", f"{_word(text, found)!r}: a character was lost on the way", _ANEW)
    if (found := _TURNS.search(text)) is not None:
        what = (
            f"U+{ord(found[0]):04X}: text reads in another direction behind it, for filters a sign of deceit"
        )
        return _Fault("turned", what, "take it out")
    return None


def _word(text: str, found: re.Match[str]) -> str:
    """Return what was found with what stands around it, up to a blank."""
    before, after = text[: found.start()].split(" ")[-1], text[found.end() :].split(" ")[0]
    return f"{before[-_AROUND:]}{found[0]}{after[:_AROUND]}".strip("\t\r\n")


def _mended(word: str) -> str | None:
    """Return the word as it was before it was garbled; None where that is not known."""
    for letters in (_WINDOWS, _MAC):
        try:
            return bytes(letters[one] if one > "\x7f" else ord(one) for one in word).decode()
        except (KeyError, UnicodeDecodeError):
            continue
    return None
