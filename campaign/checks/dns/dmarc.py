"""DMARC (RFC 9989): find the policy for a From domain by the tree walk, and its organisational domain.

RFC 9989 replaced RFC 7489. If no record has `psd=`, both give the same result for domains that are
registered below a public suffix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from campaign.checks.dns.lookup import Lookup
from campaign.checks.dns.tags import parse_tags

_VERSION = re.compile(r"v\s*=\s*DMARC1\s*(?:;|$)")
_MOST_LABELS = 8  # of the names that the tree walk looks up (4.10)
POLICIES = ("none", "quarantine", "reject")


@dataclass(frozen=True, slots=True)
class Policy:
    """A DMARC record: its domain, and its tags."""

    domain: str
    tags: dict[str, str]
    text: str

    def wanted(self, domain: str) -> str:
        """Return the policy for mail from `domain`: `p`, or `sp` for names below the record's (4.7)."""
        policy = self.tags.get("p", "").lower()
        if domain != self.domain:
            policy = self.tags.get("sp", policy).lower()
        return policy if policy in POLICIES else "none"

    def strict(self, tag: str) -> bool:
        """Whether the tag `adkim` or `aspf` requires the same domain, not only the same organisation."""
        return self.tags.get(tag, "r").lower() == "s"


def find(domain: str, lookup: Lookup) -> Policy | None:
    """Return the policy that applies to mail from `domain`, or None. Raises Unknown."""
    walked = list(_walk(domain, lookup))
    own = next((policy for policy in walked if policy.domain == domain), None)
    return own or next((policy for policy in walked if policy.domain == _organisation(domain, walked)), None)


def organisation(domain: str, lookup: Lookup) -> str:
    """Return the organisational domain of a domain (4.10.2). Raises Unknown."""
    return _organisation(domain, list(_walk(domain, lookup)))


def duplicates(domain: str, lookup: Lookup) -> int:
    """Return the number of DMARC records at exactly this domain; more than one count as none (4.10)."""
    return len(_records(domain, lookup))


def _organisation(domain: str, walked: list[Policy]) -> str:
    for policy in walked:
        psd = policy.tags.get("psd", "").lower()
        if psd == "n":
            return policy.domain
        if psd == "y" and policy.domain != domain:
            below = domain.split(".")[: -len(policy.domain.split("."))]
            return f"{below[-1]}.{policy.domain}"
    return walked[-1].domain if walked else domain


def _walk(domain: str, lookup: Lookup) -> Iterator[Policy]:
    """Yield the valid records at the domain and above it, from the longest name to the shortest."""
    labels = domain.split(".")
    starts = [0, *range(max(1, len(labels) - _MOST_LABELS + 1), len(labels))]
    for start in starts:
        name = ".".join(labels[start:])
        records = _records(name, lookup)
        if len(records) == 1:
            policy = Policy(name, parse_tags(records[0]), records[0])
            yield policy
            if policy.tags.get("psd", "").lower() in ("y", "n"):
                return


def _records(domain: str, lookup: Lookup) -> list[str]:
    return [text for text in lookup.txt(f"_dmarc.{domain}").values if _VERSION.match(text)]
