"""Header fields: a name and a value → the folded line, exact to the octet (RFC 5322, 2047, 2231).

ASCII stays as it is and is folded at white space only; anything else becomes encoded words, each at
most 75 octets, never splitting a character, nor a grapheme where that can be helped. What looks
like an encoded word is encoded, so that it stays what it is. No value can end its line: control
characters and line separators raise HeaderError.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from campaign.address import Mailbox

LINE = 76  # octets of a line with encoded words, RFC 2047 2; and ours for all others
LONGEST = 998  # octets of any line without its CRLF, RFC 5322 2.1.1

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_WORD = 75 - len("=?utf-8?q??=")  # octets of an encoded word's text, RFC 2047 2
# RFC 2047 5 (3): what may stand in a Q-encoded word of a phrase; it is safe in any field.
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = {octet: chr(octet) if octet in _Q_SAFE else f"={octet:02X}" for octet in range(256)} | {0x20: "_"}
_JOINERS = "\u200d"  # zero width joiner: what follows it belongs to what stands before it


class HeaderError(ValueError):
    """The value cannot stand in a header; the message is a sentence for a person."""


def text(name: str, value: str) -> bytes:
    """Return an unstructured field, such as Subject. Raises HeaderError."""
    _check(name, value)
    if value.isascii() and "=?" not in value and value == value.strip(" "):
        if len(name) + 2 + len(value) <= LINE:
            return f"{name}: {value}\r\n".encode("ascii")
        folded = _fold(f"{name}: {value}")
        if folded is not None:
            return folded
    return f"{name}: {_words(value, len(name) + 2)}\r\n".encode("ascii")


def exact(name: str, value: str) -> bytes:
    """Return a structured field on one line, as it is: List-*, Message-ID, Date.

    Raises HeaderError where it is not ASCII, or too long for a line.
    """
    _check(name, value)
    line = f"{name}: {value}\r\n"
    if not line.isascii():
        raise HeaderError(f"{name} can hold ASCII characters only, got {value[:60]!r}")
    if len(line) > LONGEST + 2:
        raise HeaderError(f"{name} is longer than {LONGEST} characters: {value[:60]!r}…")
    return line.encode("ascii")


def mailboxes(name: str, boxes: Iterable[Mailbox]) -> bytes:
    """Return an address field. Addresses stay as they are: raw UTF-8 where SMTPUTF8 carries it."""
    lines = [f"{name}:"]
    for number, box in enumerate(boxes):
        if number:
            lines[-1] += ","
        for part in _mailbox(name, box):
            if len(lines[-1].encode()) + 1 + len(part.encode()) + 1 <= LINE or lines[-1] == f"{name}:":
                lines[-1] += f" {part}"
            else:
                lines.append(f" {part}")
    return "\r\n".join(lines).encode() + b"\r\n"


def parameter(name: str, value: str) -> str:
    """Return `; name=value` for a Content-* field, on lines of its own (RFC 2231 3 and 4)."""
    _check(name, value)
    if value.isascii() and len(name) + len(value) + 6 <= LINE:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        if len(escaped) + len(name) + 6 <= LINE and "=?" not in value and "'" not in value:
            return f';\r\n {name}="{escaped}"'
    encoded = quote(value, safe="!#$&+-.^_`|~")  # RFC 2231 7: attribute-char
    if len(name) + len(encoded) + 12 <= LINE:
        return f";\r\n {name}*=utf-8''{encoded}"
    room = LINE - len(name) - len(" *99*=;")
    pieces = list(_pieces(f"utf-8''{encoded}", room))
    return "".join(f";\r\n {name}*{number}*={piece}" for number, piece in enumerate(pieces))


def _pieces(encoded: str, room: int) -> Iterator[str]:
    """Cut percent-encoded text into pieces, none within a %XX."""
    while encoded:
        end = room
        if len(encoded) > room:
            percent = encoded.rfind("%", end - 2, end)
            end = percent if percent > 0 else end
        yield encoded[:end]
        encoded = encoded[end:]


def _check(name: str, value: str) -> None:
    found = _FORBIDDEN.search(value)
    if found is not None:
        what = "a line break" if found[0] in "\r\n\x85\u2028\u2029" else "the control character"
        raise HeaderError(f"{name} holds {what} (U+{ord(found[0]):04X}): {value[:60]!r}")


def _mailbox(name: str, box: Mailbox) -> Iterator[str]:
    """Yield what may not be broken, of one mailbox."""
    _check(name, box.name)
    _check(name, box.address)
    phrase = box.name.strip(" ")
    if not phrase:
        yield box.address
        return
    if phrase.isascii() and "=?" not in phrase and "  " not in phrase:
        quoted = phrase
        if _ATOMS.fullmatch(phrase) is None:
            quoted = '"' + phrase.replace("\\", "\\\\").replace('"', '\\"') + '"'
        words = quoted.split(" ")
        if max(map(len, words)) < LINE - len(name):
            yield from words
            yield f"<{box.address}>"
            return
    yield from _words(phrase, len(name) + 2).split("\r\n ")
    yield f"<{box.address}>"


def _fold(line: str) -> bytes | None:
    """Fold an ASCII field before white space, or return None where a word is too long for a line."""
    lines: list[str] = []
    current, head = "", line.partition(" ")[0]
    # Each piece is white space and the word behind it; a fold comes before the white space.
    for piece in re.findall(r" *[^ ]+", line):
        if current and len(current) + len(piece) > LINE and current != head:
            lines.append(current)
            current = piece
        else:
            current += piece
    lines.append(current)
    if any(len(one) > LONGEST for one in lines):
        return None
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def _words(value: str, indent: int) -> str:
    """Return encoded words for a value, folded; the first line has `indent` octets before it."""
    return "\r\n ".join(_encoded_words(value, indent))


def _encoded_words(value: str, indent: int) -> Iterator[str]:
    octets = value.encode()
    quoted = sum(1 if octet in _Q_SAFE or octet == 0x20 else 3 for octet in octets)
    # Base64 is shorter for most scripts, and Q stays legible for the others.
    base = quoted > -(-len(octets) // 3) * 4
    room = min(_WORD, LINE - indent - len("=?utf-8?q??="))
    word, used = "", 0
    for cluster in _clusters(value):
        for piece in [cluster] if _cost(cluster, base) <= _room(base) else cluster:
            size = len(piece.encode()) if base else _cost(piece, base)
            if word and used + size > (room // 4 * 3 if base else room):
                yield _encoded(word, base)
                word, used, room = "", 0, min(_WORD, LINE - 1 - len("=?utf-8?q??="))
            word += piece
            used += size
    yield _encoded(word, base)


def _room(base: bool) -> int:
    return _WORD // 4 * 3 if base else _WORD


def _cost(piece: str, base: bool) -> int:
    return len(piece.encode()) if base else sum(len(_Q[octet]) for octet in piece.encode())


def _encoded(word: str, base: bool) -> str:
    octets = word.encode()
    if base:
        return f"=?utf-8?b?{base64.b64encode(octets).decode()}?="
    return f"=?utf-8?q?{''.join(map(_Q.__getitem__, octets))}?="


def _clusters(value: str) -> Iterator[str]:
    """Yield grapheme clusters, as near to Unicode's (UAX 29) as the standard library's tables go."""
    cluster = ""
    for character in value:
        if cluster and not _joins(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _joins(cluster: str, character: str) -> bool:
    if character.isascii():
        return False
    if unicodedata.category(character)[0] == "M" or character in _JOINERS or cluster[-1] in _JOINERS:
        return True
    if "\U0001f3fb" <= character <= "\U0001f3ff":  # skin tones
        return True
    flags = "\U0001f1e6" <= character <= "\U0001f1ff"
    if flags and "\U0001f1e6" <= cluster[-1] <= "\U0001f1ff":
        return len(cluster) % 2 == 1
    # Conjoining Hangul: vowels and finals follow what leads them.
    return "\u1160" <= character <= "\u11ff"
