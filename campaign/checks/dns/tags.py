"""Parse tag lists, as in DKIM and DMARC records (RFC 6376 3.2)."""

from __future__ import annotations


def parse_tags(text: str) -> dict[str, str]:
    """Return the tags of `v=DKIM1; k=rsa; p=…` without white space; of duplicate names, the first."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    return tags
