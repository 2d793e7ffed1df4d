"""Format things for display: files, counts, sizes, and untrusted text."""

from __future__ import annotations

import os.path
import re
from pathlib import Path

# C0, C1, separators that break lines, bidirectional embeddings, overrides and isolates, half characters.
# Joiners and single directional marks stay: scripts and emoji need them.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STEERING_IN_TEXT = re.compile("(?![\n\t])" + _STEERING.pattern)


def shown(file: Path) -> str:
    """Return `file` relative to the working directory if it is inside it, otherwise unchanged."""
    # Links are not resolved: the user knows the link's name, not its target.
    file = Path(os.path.normpath(file))
    try:
        return str(file.relative_to(Path.cwd()))
    except (ValueError, OSError):  # the working directory may have been removed
        return str(file)


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return `1 row`, `2 rows`, `0 rows`; give `plural` if it is not made with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def visible(text: str) -> str:
    """Return one line of text with each control character as an escape, such as `\\x1b`."""
    return _STEERING.sub(_escape, text)


def visible_text(text: str) -> str:
    """The same for text of several lines: line feeds and tabs stay."""
    return _STEERING_IN_TEXT.sub(_escape, text)


def visible_json(text: str) -> str:
    """The same for a JSON document, with JSON's escapes, so that a parser returns the characters."""
    return _STEERING_IN_TEXT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def shortened(text: str, most: int) -> str:
    """Return `text` without its middle if it has more than `most` characters; place and row stay."""
    if len(text) <= most:
        return text
    return f"{text[: most * 3 // 4]} […] {text[-most // 4 :]}"


def size(octets: int) -> str:
    """Return `812 bytes`, `34.2 kB`, `1.3 MB` or `100.0 GB`."""
    if octets < 1000:
        return f"{octets} bytes"
    # 999,950 would be rounded up to 1000.0 kB.
    if octets < 999_950:
        return f"{octets / 1e3:.1f} kB"
    return f"{octets / 1e6:.1f} MB" if octets < 999_950_000 else f"{octets / 1e9:.1f} GB"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
