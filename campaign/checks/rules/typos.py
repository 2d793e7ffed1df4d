"""An address in a domain that is one typo away from a big one: gmial.com, hotmail.con.

A letter is missing, doubled, wrong or swapped with its neighbour, or the ending does not exist (IANA's list
of top-level domains has no .con). A note: some such domains exist, and many of them belong to people who
collect misdirected mail. A domain that mixes letters of two alphabets that look alike, such as a Cyrillic а
in gmаil.com, is reported too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from campaign.address import display_domain, domain_of
from campaign.checks.finding import Finding
from campaign.checks.mailboxes import FREE
from campaign.checks.rule import Rule
from campaign.errors import Problem, Severity
from campaign.model import Recipient

# The big domains with a name that is long enough: a typo in it is not likely another real name.
_BIG = sorted(domain for domain in FREE if len(domain.partition(".")[0]) >= 5)
_NAMES = frozenset(domain.partition(".")[0] for domain in FREE)
_NO_ENDINGS = {
    "con": "com", "cmo": "com", "ocm": "com", "comm": "com", "coom": "com", "ccom": "com", "cpm": "com",
    "vom": "com", "xom": "com", "clm": "com", "cim": "com", "cok": "com", "coml": "com", "nett": "net",
    "nte": "net", "neet": "net", "nrt": "net", "orgg": "org", "ogr": "org", "rog": "org", "dee": "de",
    "dde": "de", "cmm": "com", "comn": "com",
}  # fmt: skip
_ALIKE = {"LATIN", "CYRILLIC", "GREEK"}
# Country domains in which the big providers have no domain.
_SHORT = {"cm": "com", "co": "com", "om": "com", "ne": "net", "d": "de"}


class Check(Rule):
    """Reports domains that are probably mistyped, or that mix alphabets."""

    def read(self, recipient: Recipient) -> Iterator[Finding]:
        domain = domain_of(recipient.email)
        place = Problem("", self.checked.facts.list, recipient.line)
        if meant := meant_by(domain):
            what = f"{display_domain(domain)} may be a typo for {meant}"
            yield self.find(self.at(place, what, Severity.NOTE), domain)
        elif alphabets := mixed_in(domain):
            what = f"{display_domain(domain)} ({domain}) has {' and '.join(alphabets)} letters in one name"
            yield self.find(self.at(place, what), domain)


@lru_cache(maxsize=4096)
def mixed_in(domain: str) -> list[str]:
    """Return the alphabets with letters that look alike, if one label has letters of several."""
    for label in display_domain(domain).split(".") if "xn--" in domain else ():
        scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in label}
        if len(found := scripts & _ALIKE) > 1:
            return sorted(script.capitalize() for script in found)
    return []


@lru_cache(maxsize=4096)
def meant_by(domain: str) -> str:
    """Return the domain that a misspelled one stands for, or ""."""
    if domain in FREE:
        return ""
    name, _, ending = domain.rpartition(".")
    if ending in _NO_ENDINGS:
        mended = f"{name}.{_NO_ENDINGS[ending]}"
        return meant_by(mended) or mended
    if ending in _SHORT and f"{name}.{_SHORT[ending]}" in FREE:
        return f"{name}.{_SHORT[ending]}"
    first = domain.partition(".")[0]
    if first in _NAMES:  # yahoo.com.mx is a domain of its own
        return ""
    return next((big for big in _BIG if _one_slip(domain, big)), "")


def _one_slip(one: str, other: str) -> bool:
    """Whether one letter is missing, added or wrong, or two neighbours are swapped."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, others = one[start:], other[start:]
    exchanged = rest[:2][::-1] == others[:2] and rest[2:] == others[2:] and len(rest) > 1
    return exchanged or rest[1:] == others[1:] or rest[1:] == others or rest == others[1:]
