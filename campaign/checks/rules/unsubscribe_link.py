"""A mail to a list that does not show how to unsubscribe.

The List-Unsubscribe header is for mail programs, and not all of them show it. Google's and Yahoo's
guidelines require a link in the body too, and so do the laws on advertising by mail (CAN-SPAM, the EU's
directive 2002/58/EC art. 13). Checked if the campaign has `unsubscribe` or `list_id`, or 100 messages or
more. The rule looks for a link to `unsubscribe.url`, or for words such as "unsubscribe" or "abmelden", in
the HTML part if there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from campaign.checks.checked import Checked, Surveyed
from campaign.checks.finding import Finding
from campaign.checks.found import Found
from campaign.checks.page import Link
from campaign.checks.rule import Rule
from campaign.checks.rules.unsubscribe import MANY
from campaign.checks.seen import Seen
from campaign.errors import Problem
from campaign.model import Recipient

# In lower case. Searching for each one separately takes a tenth of the time of one expression for all.
_WORDS = (
    "unsubscribe", "opt out", "opt-out", "optout", "stop receiving",
    "abmeld", "abbestell", "austrag", "abzumelden", "abzubestellen",
    "désabonn", "désinscri",
    "darse de baja", "cancelar suscripci", "cancelar la suscripci", "cancela tu suscripci",
    "disiscri", "annulla l'iscrizione", "annulla l’iscrizione",
    "uitschrijven", "afmelden",
    "cancelar inscri", "cancelar a inscri", "cancelar assinatura", "cancelar a assinatura",
    "avregistrer", "avmeld", "avprenumerera", "afmeld", "peruuta tilaus",
    "wypis", "rezygn", "odhlás", "leiratkoz", "dezabon", "отписа", "відпис", "απεγγραφ",
    "退订", "配信停止", "수신거부",
    "mail preferences", "mail settings", "communication preferences", "communication settings",
    "manage subscription", "manage your subscription", "manage preferences", "manage your preferences",
)  # fmt: skip
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*[01](?:px|pt)?\s*(?:;|$)", re.IGNORECASE
)


class Check(Rule):
    """Reports mail to a list that does not show how to unsubscribe."""

    def __init__(self, checked: Checked, name: str) -> None:
        super().__init__(checked, name)
        content = checked.content
        self._is_list = content.has_unsubscribe or "list_id" in content.inline
        self._has_url = bool(content.inline.get("unsubscribe.url"))
        self._place = checked.sources.template("html", "mjml", "markdown", "text")

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        ways = message.headers.get("list-unsubscribe", "")
        if message.page is not None:
            links = message.page.links
            # The unsubscribe link is usually one of the last.
            if any(
                _leaves(link) or link.tag.raw["href"] in ways for link in reversed(links) if _is_seen(link)
            ):
                return
            if any(map(_says, message.page.body.split("\n"))):
                words = message.page.text
                for link in links:
                    words = words if _is_seen(link) else words.replace(link.text, "", 1)
                if _says(words):
                    return
        elif message.text is not None and (
            any(map(_says, message.lines)) or any(way in message.text for way in re.findall("<(.*?)>", ways))
        ):
            return
        what = "the mail does not show how to unsubscribe"
        write = "show {{ unsubscribe.url }}" if self._has_url else "say how, or show a link"
        yield self.find(self.at(self._place, f"{what}: {write}"))

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning if it is a mail to a list."""
        if self._is_list or surveyed.survey.messages >= MANY:
            yield from super().report(surveyed, found)


# Most lines are the same in all messages of a campaign.
@lru_cache(maxsize=4096)
def _says(line: str) -> bool:
    return any(map(line.lower().__contains__, _WORDS))


@lru_cache(maxsize=1024)
def _leaves(link: Link) -> bool:
    return any(map(f"{link.tag.attributes['href']} {link.text}".lower().__contains__, _WORDS))


def _is_seen(link: Link) -> bool:
    return not link.tag.style or _is_shown(link.tag.style)


@lru_cache(maxsize=1024)
def _is_shown(style: str) -> bool:
    return _HIDDEN.search(style) is None
