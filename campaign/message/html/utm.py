"""Adds campaign parameters (utm_source and the like) to links to the sender's own sites.

https://support.google.com/analytics/answer/10917952. A link that has such a parameter keeps its own. The
unsubscribe link gets none: it belongs to the recipient, and may be signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from campaign.message.html.markup import START, TOKEN, attributes, value_of

_LINKS = {"a", "area"}
_HTTP = re.compile(r"\s*https?://", re.IGNORECASE)


def with_parameters(
    html: str, domains: Sequence[str], parameters: Mapping[str, str], unsubscribe: str
) -> str:
    """Return a page with the parameters on its links to `domains` and their subdomains.

    `parameters` are by their full names; blank ones are left out. `unsubscribe` is the address of the
    unsubscribe link, "" for none.
    """
    given = {name: value for name, value in parameters.items() if value}
    if not given or "<a" not in html.lower():
        return html
    pieces = TOKEN.split(html)
    for place in range(1, len(pieces), 2):
        tag = START.match(pieces[place])
        if tag is not None and tag[1].lower() in _LINKS:
            pieces[place] = _tagged(pieces[place], domains, given, unsubscribe)
    return "".join(pieces)


def _tagged(tag: str, domains: Sequence[str], parameters: Mapping[str, str], unsubscribe: str) -> str:
    href = next((one for one in attributes(tag) if one.name == "href" and one.assigned), None)
    if href is None:
        return tag
    address = value_of(tag[href.start : href.end])
    if not _HTTP.match(address) or (unsubscribe and address.strip() == unsubscribe):
        return tag
    more = _missing(address.strip(), domains, parameters)
    if not more:
        return tag
    # Only the parameters are added: the rest of the address stays as it is written.
    written = tag[href.start : href.end]
    before, mark, fragment = written.partition("#")
    if mark and before.endswith("&"):  # the # of a character reference, such as &#38;
        before, mark, fragment = written, "", ""
    joint = "" if before.endswith(("?", "&", "&amp;")) else "&amp;" if "?" in before else "?"
    value = f"{before.rstrip()}{joint}{escape(more)}{mark}{fragment}"
    if not href.quote:
        value = f'"{value}"'
    return f"{tag[: href.start]}{value}{tag[href.end :]}"


def _missing(address: str, domains: Sequence[str], parameters: Mapping[str, str]) -> str:
    """Return the parameters that a link lacks, "" if it gets none."""
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""
    if not any(host == domain or host.endswith(f".{domain}") for domain in domains):
        return ""
    known = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    return urlencode({name: value for name, value in parameters.items() if name not in known})
