"""Decodes a header field for display: unfolds it and decodes its encoded words (RFC 2047)."""

from __future__ import annotations

import re
from base64 import b64decode
from email.quoprimime import header_decode

_WORD = re.compile(r"=\?utf-8\?([bq])\?([^?\s]*)\?=", re.IGNORECASE)
_RUN = re.compile(rf"(?:{_WORD.pattern})+", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?utf-8\?[bq]\?)", re.IGNORECASE)
_SPECIAL = re.compile(r'[()<>\[\]:;@\\,."]')  # RFC 5322 3.2.3
_FOLD = re.compile(r"\r?\n(?=[ \t])")


def decoded(value: str, *, addresses: bool = False) -> str:
    """Return a field's folded value as people read it (RFC 2047 6.2).

    In a field of `addresses`, a decoded name with a comma or another special character is quoted, as an
    ASCII name would be (RFC 5322 3.2.4): otherwise it could be read as two names.
    """

    def run(match: re.Match[str]) -> str:
        text = "".join(_word(*word) for word in _WORD.findall(match[0]))
        if addresses and _SPECIAL.search(text):
            return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
        return text

    octets = _FOLD.sub("", value).encode("utf-8", "surrogateescape")
    # The standard library's parser keeps white space between encoded words, which RFC 2047 6.2 drops.
    return _RUN.sub(run, _BETWEEN_WORDS.sub(r"\1", octets.decode("utf-8", "replace")))


def _word(encoding: str, text: str) -> str:
    """Decode an encoded word."""
    if encoding in "bB":
        return b64decode(text).decode("utf-8", "replace")
    return header_decode(text).encode("latin-1").decode("utf-8", "replace")
