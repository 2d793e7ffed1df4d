"""SPF (RFC 7208): parse a domain's record, count the lookups it needs, and evaluate it for an IP address."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from campaign.checks.dns.lookup import Lookup
from campaign.checks.dns.macros import Connection, expand

LIMIT = 10
"""The most terms that may need lookups, in the record and all that it includes (RFC 7208 4.6.4)."""

_VOID_LIMIT = 2  # lookups without records (4.6.4)
_MOST_EXCHANGERS = 10  # of one `mx` (4.6.4)
_TERM = re.compile(
    r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?:([:/])(.*))?", re.IGNORECASE | re.DOTALL
)
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)", re.DOTALL)
_PREFIX = re.compile(r"(.*?)(?:/([0-9]{1,2}))?(?://([0-9]{1,3}))?", re.DOTALL)
_ASKING = {"include", "a", "mx", "ptr", "exists"}


class Result(StrEnum):
    """The results of `check_host` (RFC 7208 2.6) that concern a sender."""

    PASS = "pass"  # noqa: S105  # the result of a check
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"


_QUALIFIERS = {"+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}


class SpfError(ValueError):
    """A receiver would answer `permerror`, as if there were no record. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism. `value` is its domain or network, or ""; prefixes are None if they are not given."""

    text: str
    qualifier: Result
    mechanism: str
    value: str = ""
    prefix4: int | None = None
    prefix6: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record: its mechanisms in order, and the domain of `redirect=`, or ""."""

    text: str
    terms: tuple[Term, ...]
    redirect: str = ""

    @property
    def asks(self) -> int:
        """How many of the record's own terms need a lookup."""
        own = sum(term.mechanism in _ASKING for term in self.terms)
        return own + bool(self.redirect and not self.final)

    @property
    def final(self) -> bool:
        """Whether it has `all`; then `redirect` is ignored (6.1)."""
        return any(term.mechanism == "all" for term in self.terms)


def find(domain: str, lookup: Lookup) -> Record | None:
    """Return a domain's record, or None if it has none. Raises SpfError and Unknown."""
    found = [text for text in lookup.txt(domain).values if text.lower().split(" ")[0] == "v=spf1"]
    if len(found) > 1:
        raise SpfError(f"{domain} has {len(found)} SPF records, and receivers then use none; keep one")
    return parse(found[0]) if found else None


def parse(text: str) -> Record:
    """Parse a record that begins with `v=spf1`. Raises SpfError for anything outside the grammar (12)."""
    terms: list[Term] = []
    modifiers: dict[str, str] = {}
    for word in text.split(" ")[1:]:
        if not word:
            continue
        modifier = _MODIFIER.fullmatch(word)
        if modifier is not None:
            name = modifier[1].lower()
            if name in ("redirect", "exp") and name in modifiers:
                raise SpfError(f"the record has `{name}=` twice")
            modifiers[name] = modifier[2]
        else:
            terms.append(_term(word))
    return Record(text, tuple(terms), modifiers.get("redirect", ""))


def _term(word: str) -> Term:
    match = _TERM.fullmatch(word)
    if match is None:
        raise SpfError(f"SPF has no mechanism like `{word[:60]}`")
    qualifier, mechanism = _QUALIFIERS[match[1] or "+"], match[2].lower()
    rest = f"{match[3] or ''}{match[4] or ''}"
    if mechanism in ("ip4", "ip6"):
        try:
            network = ipaddress.ip_network(rest.removeprefix(":"), strict=False)
        except ValueError:
            raise SpfError(f"`{word[:60]}` names no network") from None
        if network.version != int(mechanism[2]) or not rest.startswith(":"):
            raise SpfError(f"`{word[:60]}` names no {'IPv4' if mechanism == 'ip4' else 'IPv6'} network")
        return Term(word, qualifier, mechanism, str(network))
    prefixed = _PREFIX.fullmatch(rest)
    assert prefixed is not None  # noqa: S101  # every part of the pattern is optional
    value, four, six = prefixed[1], prefixed[2], prefixed[3]
    if mechanism not in ("a", "mx"):
        value, four, six = rest, None, None
    if (value and not value.startswith(":")) or value == ":" or (mechanism == "all" and rest):
        raise SpfError(f"`{word[:60]}` is no mechanism of SPF")
    if mechanism in ("include", "exists") and not value:
        raise SpfError(f"`{word[:60]}` names no domain")
    prefix4, prefix6 = (int(prefix) if prefix is not None else None for prefix in (four, six))
    if (prefix4 or 0) > 32 or (prefix6 or 0) > 128:
        raise SpfError(f"`{word[:60]}` has too long a prefix")
    return Term(word, qualifier, mechanism, value.removeprefix(":"), prefix4, prefix6)


def lookups(domain: str, lookup: Lookup) -> list[tuple[str, int]]:
    """Return the record's terms that need lookups, each with their number, including nested records.

    A domain with a macro is known only when mail arrives, and counts as one. Raises SpfError for a loop or
    an invalid record, and Unknown.
    """
    return [(text, 1 + below) for text, below in _asking(domain, lookup, ())]


def _asking(domain: str, lookup: Lookup, path: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    if domain in path:
        raise SpfError(f"the SPF records include each other in a circle: {' → '.join((*path, domain))}")
    record = find(domain, lookup)
    if record is None:
        if path:
            raise SpfError(f"{path[-1]} includes {domain}, which has no SPF record")
        return
    followed = [(term.text, term.value, term.mechanism) for term in record.terms if term.mechanism in _ASKING]
    if record.redirect and not record.final:
        followed.append((f"redirect={record.redirect}", record.redirect, "include"))
    for text, value, mechanism in followed:
        below = 0
        if mechanism == "include" and "%" not in value:
            below = sum(1 + more for _, more in _asking(value.lower().rstrip("."), lookup, (*path, domain)))
        yield text, below


class Evaluation:
    """check_host (RFC 7208 4) for one connection: what a receiver does if mail comes from `connection.ip`."""

    def __init__(self, connection: Connection, lookup: Lookup) -> None:
        self._connection = connection
        self._lookup = lookup
        self._ip = ipaddress.ip_address(connection.ip)
        self._asked = 0
        self._voids = 0

    def check(self, domain: str) -> Result:
        """Return the result for a domain. Raises SpfError and Unknown."""
        record = find(domain, self._lookup)
        if record is None:
            return Result.NONE
        for term in record.terms:
            if self._matches(term, domain):
                return term.qualifier
        if record.redirect:
            self._count()
            result = self.check(expand(record.redirect, self._connection, domain))
            if result is Result.NONE:
                raise SpfError(f"`redirect={record.redirect}` leads to no SPF record")
            return result
        return Result.NEUTRAL

    def _matches(self, term: Term, domain: str) -> bool:
        if term.mechanism in _ASKING:
            self._count()
        target = expand(term.value, self._connection, domain) if term.value else domain
        match term.mechanism:
            case "all":
                return True
            case "ip4" | "ip6":
                return self._ip in ipaddress.ip_network(term.value)
            case "include":
                result = self.check(target)
                if result is Result.NONE:
                    raise SpfError(f"`{term.text}` leads to no SPF record")
                return result is Result.PASS
            case "exists":
                return any(":" not in address for address in self._addresses(target))
            case "a":
                return self._holds(self._addresses(target), term)
            case "mx":
                exchangers = self._lookup.mx(target).values
                self._void(not exchangers)
                if len(exchangers) > _MOST_EXCHANGERS:
                    raise SpfError(f"`{term.text}` has {len(exchangers)} mail exchangers; SPF allows 10")
                return any(self._holds(self._lookup.addresses(name).values, term) for name in exchangers)
            case _:  # ptr: RFC 7208 5.5 says not to use it, and many receivers ignore it
                return False

    def _addresses(self, name: str) -> tuple[str, ...]:
        addresses = self._lookup.addresses(name).values
        self._void(not addresses)
        return addresses

    def _holds(self, addresses: tuple[str, ...], term: Term) -> bool:
        prefix = term.prefix4 if self._ip.version == 4 else term.prefix6
        length = prefix if prefix is not None else self._ip.max_prefixlen
        networks = (
            ipaddress.ip_network((address, length), strict=False)
            for address in addresses
            if (":" in address) == (self._ip.version == 6)
        )
        return any(self._ip in network for network in networks)

    def _count(self) -> None:
        self._asked += 1
        if self._asked > LIMIT:
            raise SpfError(f"SPF needs more than {LIMIT} DNS lookups")

    def _void(self, void: bool) -> None:
        self._voids += void
        if self._voids > _VOID_LIMIT:
            raise SpfError(f"more than {_VOID_LIMIT} of the record's DNS lookups find nothing")
