"""Makes header fields: from a name and a value, the folded line in octets (RFC 5322, 2047, 2231).

ASCII stays as it is, and is folded only at white space. Other text becomes encoded words of at most 75
octets, which never split a character, and split a grapheme only if it is longer than a word. A value that
looks like an encoded word is encoded too, so that readers show it as written. No value can end its line:
control characters and line separators raise HeaderError. So does a tab: readers show it differently, and
in a list it is a misplaced delimiter.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from urllib.parse import quote

from campaign.address import Mailbox

LINE = 76  # octets of a line with encoded words (RFC 2047 2); used for all lines
LONGEST = 998  # octets of any line without its CRLF, RFC 5322 2.1.1

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# Readers disagree about backslashes in a parameter and blanks at its ends, so such values are not quoted.
_QUOTABLE = re.compile(r"(?! |.*=\?)[ !#-\[\]-~]*(?<! )")
_ATTRIBUTE = "!#$&+-.^_`{|}~"  # RFC 2231 7: attribute-char, besides letters and digits
_CHARACTERS = re.compile("[^%]|%[0-7].|%[C-F].(?:%[89AB].)+")  # of percent-encoded UTF-8
_AROUND = len("=?utf-8?q??=")
_WORD = 75 - _AROUND  # octets of an encoded word's text, RFC 2047 2
_LEAST = len("=F0=9F=98=80")  # any character, and three bytes of base64
# RFC 2047 5 (3): characters allowed in a Q-encoded word of a phrase, and so in any field; a blank is `_`.
_Q_ONE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/ "
_Q_CHARACTERS = frozenset(_Q_ONE.decode())
_Q = {octet: chr(octet) if octet in _Q_ONE else f"={octet:02X}" for octet in range(256)} | {0x20: "_"}
_JOINER = "\u200d"
# Characters that UAX 29 joins to the one before although they are not marks.
_JOINING = frozenset("\u200c\u200d\u0e33\u0eb3\uff9e\uff9f")


class HeaderError(ValueError):
    """The value is not allowed in a header; the message is a sentence for a person."""


def text(name: str, value: str) -> bytes:
    """Return an unstructured field, such as Subject. Raises HeaderError."""
    if _is_plain(value):
        line = f"{name}: {value}\r\n"
        if len(line) <= LINE + 2:
            return line.encode("ascii")
        folded = _fold(f"{name}:", re.findall(" *[^ ]+", f" {value}"))
        # A word may be too long for any line.
        if len(folded) <= LONGEST or max(map(len, folded.split(b"\r\n"))) <= LONGEST:
            return folded
    _check(name, value)
    return _fold(f"{name}:", [f" {word}" for word in _encoded_words(value, len(name) + 2)])


def exact(name: str, value: str) -> bytes:
    """Return a structured field unchanged on one line: List-*, Message-ID, Date.

    Raises HeaderError if it is not ASCII or too long for a line.
    """
    _check(name, value)
    line = f"{name}: {value}\r\n"
    if not line.isascii():
        raise HeaderError(f"{name} can hold ASCII characters only, got {value[:60]!r}")
    if len(line) > LONGEST + 2:
        raise HeaderError(f"{name} is longer than {LONGEST} characters: {value[:60]!r}…")
    return line.encode("ascii")


def mailboxes(name: str, boxes: Iterable[Mailbox]) -> bytes:
    """Return an address field; blanks around a display name are dropped. Raises HeaderError.

    Addresses stay as they are: with SMTPUTF8, they may be raw UTF-8 (RFC 6532 3.2).
    """
    pieces: list[str] = []
    for box in boxes:
        if pieces:
            pieces[-1] += ","
        pieces += _mailbox(name, box)
    if not pieces:
        raise HeaderError(f"{name} has no address")
    return _fold(f"{name}:", pieces)


def parameter(name: str, value: str) -> str:
    """Return `; name=value` for a Content-* field, on lines of its own (RFC 2231 3 and 4).

    Raises HeaderError.
    """
    _check(name, value)
    if _is_quotable(name, value):
        return f';\r\n {name}="{value}"'
    encoded = quote(value, safe=_ATTRIBUTE)
    if len(name) + len(encoded) + len(" *=utf-8'';") <= LINE:
        return f";\r\n {name}*=utf-8''{encoded}"
    room = LINE - len(f" {name}*{len(value)}*=;")
    pieces = ["utf-8''"]
    for character in _CHARACTERS.findall(encoded):
        if len(pieces[-1]) + len(character) > room:
            pieces.append("")
        pieces[-1] += character
    return "".join(f";\r\n {name}*{number}*={piece}" for number, piece in enumerate(pieces))


def name_in_words(value: str) -> str:
    """Return `; name="…"` with encoded words for Content-Type; "" if `filename` needs no encoding.

    Raises HeaderError.
    """
    _check("filename", value)
    if _is_quotable("filename", value):
        return ""
    # RFC 2047 5 (3) forbids encoded words in a quoted-string. This is the one exception: Outlook and QQ Mail
    # read a file's name only from here, and readers that know RFC 2231's `filename*` ignore this one.
    words = _encoded_words(value, len(' name=""'), _WORD - len('"'))
    joined = "\r\n ".join(words)
    return f';\r\n name="{joined}"'


def _is_quotable(name: str, value: str) -> bool:
    """Whether a parameter's value can be written in quotation marks, on one line."""
    return len(name) + len(value) + len(' ="";') <= LINE and _QUOTABLE.fullmatch(value) is not None


def _is_plain(value: str) -> bool:
    """Whether an unstructured value needs no encoding."""
    return (
        value.isascii()
        and value.isprintable()
        and "=?" not in value
        and value[:1] != " "
        and value[-1:] != " "
    )


def _check(name: str, value: str) -> None:
    found = _FORBIDDEN.search(value)
    if found is not None:
        what = "a control character"
        if found[0] in "\r\n\x85\u2028\u2029":
            what = "a line break"
        elif found[0] >= "\ud800":
            what = "half a character"
        raise HeaderError(f"{name} holds {what} (U+{ord(found[0]):04X}): {value[:60]!r}")


def _mailbox(name: str, box: Mailbox) -> list[str]:
    """Return one mailbox in pieces that must not be folded, each with its leading blank."""
    phrase = box.name.strip(" ")
    if not phrase:
        _check(name, box.address)
        return [f" {box.address}"]
    _check(name, f"{box.name} <{box.address}>")
    if phrase.isascii() and "=?" not in phrase and "  " not in phrase:
        quoted, room = phrase, LINE - len(name) - len(": ")
        if _ATOMS.fullmatch(phrase) is None:
            quoted = '"' + phrase.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if len(quoted) <= room:
            return [f" {quoted}", f" <{box.address}>"]
        words = quoted.split(" ")
        if max(map(len, words)) <= room:
            return [*(f" {word}" for word in words), f" <{box.address}>"]
    return [*(f" {word}" for word in _encoded_words(phrase, len(name) + 2)), f" <{box.address}>"]


def _fold(head: str, pieces: list[str]) -> bytes:
    """Return a field, folded before each piece that does not fit on its line.

    A piece begins with white space. `head`, the field's name, may be alone on its line only before an
    encoded word.
    """
    octets = "".join([head, *pieces, "\r\n"]).encode()
    if len(octets) <= LINE + 2:
        return octets
    lines: list[str] = []
    current, size = head, len(head)
    for piece in pieces:
        length = len(piece) if piece.isascii() else len(piece.encode())
        if size + length > LINE and (current is not head or piece.startswith(" =?")):
            lines.append(current)
            current, size = piece, length
        else:
            current += piece
            size += length
    lines.append(current)
    return "\r\n".join(lines).encode() + b"\r\n"


def _encoded_words(value: str, indent: int, most: int = _WORD) -> Iterator[str]:
    """Yield a value's encoded words; `indent` octets precede the first one on its line.

    `most` are the octets of a word's text.
    """
    octets = value.encode()
    quoted = len(octets) + 2 * len(octets.translate(None, _Q_ONE))
    coded = -(-len(octets) // 3) * 4
    # Base64 is shorter for most scripts; Q is readable for the others.
    base = quoted > coded
    room = LINE - indent - _AROUND
    # After a long field name, the first word gets its own line.
    room = min(most, room) if room >= _LEAST else most
    if min(quoted, coded) <= room:
        yield _encoded(value, base)
        return
    widths = [len(character.encode()) if base else _width_in_q(character) for character in value]
    ends = list(accumulate(widths, initial=0))
    start = 0
    while start < len(value):
        fits = bisect_right(ends, ends[start] + (room // 4 * 3 if base else room)) - 1
        end = fits if fits == len(value) else _cut(value, ends, start, fits, base)
        coded = base
        if base and end < len(value) and (ends[end] - ends[start]) % 3:
            # Each cut leaves padding. GMime decodes a word in Q by itself, if a grapheme fits into one.
            shorter = _cut(value, ends, start, start + _fitting_in_q(value[start:end], room), base=False)
            if not _joins(value, shorter):
                end, coded = shorter, False
        yield _encoded(value[start:end], coded)
        start, room = end, most


def _fitting_in_q(text: str, room: int) -> int:
    """Return how many of the characters fit into a Q-encoded word's text of `room` octets."""
    return bisect_right(list(accumulate(map(_width_in_q, text))), room)


def _width_in_q(character: str) -> int:
    return 1 if character in _Q_CHARACTERS else 3 * len(character.encode())


def _encoded(word: str, base: bool) -> str:
    octets = word.encode()
    if base:
        return f"=?utf-8?b?{base64.b64encode(octets).decode()}?="
    return f"=?utf-8?q?{''.join(map(_Q.__getitem__, octets))}?="


def _cut(value: str, ends: list[int], start: int, fits: int, base: bool) -> int:
    """Return where to end a word that begins at `start`, at `fits` at the latest; `ends` are in octets.

    If possible, it ends between graphemes, and base64 needs no padding: GMime (notmuch, Geary) decodes
    adjacent words as one, and reads nothing after a padded one.
    """
    first = 0
    for end in range(fits, start, -1):
        if not _joins(value, end):
            if not base or (ends[end] - ends[start]) % 3 == 0:
                return end
            first = first or end
    return first or fits


def _joins(value: str, at: int) -> bool:
    """Whether a character belongs to the one before it, as far as `unicodedata` knows.

    UAX 29's extended grapheme clusters, without conjuncts and leading Hangul.
    """
    character = value[at]
    if character.isascii():
        return False
    if "\U0001f1e6" <= character <= "\U0001f1ff":  # regional indicators: two make a flag
        before = at
        while before and "\U0001f1e6" <= value[before - 1] <= "\U0001f1ff":
            before -= 1
        return (at - before) % 2 == 1
    return (
        unicodedata.category(character)[0] == "M"
        or character in _JOINING
        or value[at - 1] == _JOINER
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags
        or "\u1160" <= character <= "\u11ff"  # conjoining Hangul: vowels and finals
    )
