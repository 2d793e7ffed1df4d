"""Text from outside, made safe to look at: what would steer a terminal or reorder a line is spelled out."""

from __future__ import annotations

import re

# C0, C1, separators that break lines, bidirectional embeddings, overrides and isolates, half characters.
# Joiners and single directional marks stay: scripts and emoji need them.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STEERING_IN_TEXT = re.compile("(?![\n\t])" + _STEERING.pattern)


def visible(text: str) -> str:
    """Return one line with each control character as its escape, such as `\\x1b`."""
    return _STEERING.sub(_escape, text)


def visible_text(text: str) -> str:
    """The same for text of several lines: line feeds and tabs stay."""
    return _STEERING_IN_TEXT.sub(_escape, text)


def size(octets: int) -> str:
    """Return `812 bytes`, `34.2 kB` or `1.3 MB`."""
    if octets < 1000:
        return f"{octets} bytes"
    # What would round up to 1000 kB is a megabyte.
    return f"{octets / 1e3:.1f} kB" if octets < 999_950 else f"{octets / 1e6:.1f} MB"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
