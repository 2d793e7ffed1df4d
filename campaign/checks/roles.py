"""Addresses of a role and not of a person: info@, office@, postmaster@ (RFC 2142).

Several people read them, and none of them has asked for the mail; complaints are more frequent. A note,
as a list of firms has many; noreply@, abuse@ and postmaster@ are named, as no reader is behind them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from campaign.checks.checked import Checked
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Problem, Severity
from campaign.model import Recipient
from campaign.preparation import RowRanges
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
    """See the module."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        self._counts: Counter[str] = Counter()
        self._rows = RowRanges()
        self._line = 0

    def see(self, recipient: Recipient, message: Seen) -> None:
        local = recipient.email.partition("@")[0].partition("+")[0].lower()
        if local in _ROLES:
            self._counts[local] += 1
            self._rows.add(recipient.number)
            self._line = self._line or recipient.line

    def report(self) -> Iterator[Problem]:
        """Yield one note for all of them, and one for those that nobody reads."""
        place = Problem("", self.checked.recipients.file, self._line or None)
        rows = self._rows.rows
        nobody = {name: count for name, count in self._counts.items() if name in _NOBODY}
        if nobody:
            what = f"nobody reads mail to {_named(Counter(nobody))}"
            yield replace(self.at(place, what, Severity.NOTE), rows=rows)
        others = Counter({name: count for name, count in self._counts.items() if name not in _NOBODY})
        if others:
            total = counted(sum(others.values()), "address is a role's", "addresses are roles'")
            what = f"{total} and not a person's: {_named(others)}"
            yield replace(self.at(place, what, Severity.NOTE), rows=rows)


def _named(counts: Counter[str]) -> str:
    named = ", ".join(f"{name}@ ({count:,})" for name, count in counts.most_common(_MOST_NAMED))
    more = len(counts) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named
