"""Addresses of roles instead of persons: info@, office@, postmaster@ (RFC 2142).

Several people read them, none of whom has asked for the mail, so complaints are more frequent. A note,
since a list of companies has many. noreply@, abuse@ and postmaster@ get a note of their own, since nobody
reads newsletters there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from campaign.checks.checked import Checked, Surveyed
from campaign.checks.finding import Finding
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem, Severity
from campaign.model import Recipient
from campaign.wording import counted

_NOBODY = frozenset(
    {
        "abuse", "donotreply", "do-not-reply", "hostmaster", "mailer-daemon", "no-reply", "no_reply",
        "nobody", "noc", "noreply", "postmaster", "root", "security", "spam", "usenet", "uucp", "www",
    }
)  # fmt: skip
_ROLES = _NOBODY | {
    "accounting", "accounts", "admin", "administrator", "all", "bewerbung", "billing", "buchhaltung",
    "bureau", "contact", "contacto", "customerservice", "einkauf", "empfang", "enquiries", "everyone",
    "feedback", "finance", "hello", "help", "helpdesk", "hr", "info", "information", "inquiries", "it",
    "jobs", "kontakt", "kundenservice", "list", "mail", "marketing", "media", "office", "orders",
    "personal", "poststelle", "press", "presse", "purchasing", "reception", "rechnung", "redaktion",
    "sales", "sekretariat", "service", "staff", "subscribe", "support", "team", "unsubscribe",
    "verkauf", "vertrieb", "verwaltung", "webmaster", "zentrale",
}  # fmt: skip
_MOST_NAMED = 4


class Check(Rule):
    """Reports addresses of roles."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        self._counts: Counter[str] = Counter()

    def read(self, recipient: Recipient) -> Iterator[Finding]:
        local = recipient.email.partition("@")[0].partition("+")[0].lower()
        if local in _ROLES:
            self._counts[local] += 1
            yield self.find(Problem("", self.checked.facts.list, recipient.line), "roles")

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield one note for all of them, and one for those that nobody reads."""
        kept = found.by_key.get("roles")
        if kept is None:
            return
        place, rows = kept.problem, kept.ranges.rows
        nobody = {name: count for name, count in self._counts.items() if name in _NOBODY}
        if nobody:
            what = f"nobody reads mail to {_named(Counter(nobody))}"
            yield replace(self.at(place, what, Severity.NOTE), rows=rows)
        others = Counter({name: count for name, count in self._counts.items() if name not in _NOBODY})
        if others:
            total = counted(sum(others.values()), "address belongs to a role", "addresses belong to roles")
            what = f"{total}, not to a person: {_named(others)}"
            yield replace(self.at(place, what, Severity.NOTE), rows=rows)


def _named(counts: Counter[str]) -> str:
    named = ", ".join(f"{name}@ ({count:,})" for name, count in counts.most_common(_MOST_NAMED))
    more = len(counts) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named
