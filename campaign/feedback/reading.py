"""Read a mailbox of returned mail: parse each mail, find its row, record it in the ledger, and sum it up.

The token that a mail was sent to identifies its row, or otherwise the Message-ID of the returned message. A
mail that proves nothing, or that a program should not decide about, is listed for a person and left as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from campaign.feedback.mailboxes import Letter, Mailbox
from campaign.feedback.reports import (
    AutoReply,
    Bounce,
    Class,
    Complaint,
    Failure,
    Heard,
    NotUnderstood,
    Unsubscribe,
    classify,
)
from campaign.feedback.understand import understand
from campaign.ledger.returning import Returns
from campaign.ledger.returns import Fate, Kind, Mailed, Recorded, Rules, Said, by_address

_LISTED = 1000  # mails that are listed for a person at most
_KINDS = {
    Class.HARD: Kind.BOUNCED,
    Class.SOFT: Kind.BOUNCED_FOR_NOW,
    Class.ABOUT_US: Kind.BLOCKED,
}


class Other(StrEnum):
    """Kinds of mails of which nothing is recorded."""

    EARLIER = "recorded earlier"
    NOTICE = "delays and automatic answers"
    PERSON = "for a person"
    NOT_OURS = "not ours"
    NOT_UNDERSTOOD = "not understood"


@dataclass(frozen=True, slots=True)
class Listed:
    """A mail that a person should look at, and why."""

    where: str
    sender: str
    subject: str
    why: str


@dataclass(slots=True)
class Account:
    """The result of reading: addresses by kind and fate, counts of other mails, and the listed mails."""

    mails: int = 0
    kinds: dict[Kind, set[str]] = field(default_factory=dict)
    others: Counter[Other] = field(default_factory=Counter)
    fates: dict[Fate, set[tuple[Kind, str]]] = field(default_factory=dict)
    too_often: int = 0
    """Reports that were left out, since so many of the same were recorded already."""
    listed: list[Listed] = field(default_factory=list)
    unlisted: int = 0
    """How many more mails there were for a person than are listed."""


class Reader:
    """Reads for one campaign. `mailto` is its `unsubscribe.mailto`; with `dry` nothing is recorded."""

    def __init__(self, returns: Returns, rules: Rules, mailto: str = "", *, dry: bool = False) -> None:
        self._returns = returns
        self._rules = rules
        self._mailto = mailto
        self._dry = dry
        self.account = Account()

    def read(self, mailbox: Mailbox, now: int) -> Account:
        """Read and record every mail at `now`, UTC ns, and sum them up. Raises UserError, ConnectFailed."""
        for letter in mailbox.letters():
            self.account.mails += 1
            if self._heard(letter, now):
                mailbox.understood(letter)
        return self.account

    def _heard(self, letter: Letter, now: int) -> bool:
        """Record a mail; return whether it is ours and nobody needs to look at it."""
        heard = understand(letter.octets, letter.recipient, self._mailto)
        mailed = self._mailed(heard)
        match heard.report:
            case NotUnderstood():
                return self._list(letter, heard, Other.NOT_UNDERSTOOD, "not understood")
            case AutoReply():
                self.account.others[Other.NOTICE] += 1
                return mailed is not None
            case _ if mailed is None:
                why = "no token of a row of this campaign, and no Message-ID of one"
                return self._list(letter, heard, Other.NOT_OURS, why)
            case Complaint(type=kind) if not heard.report.suppresses:
                why = f"a report of {kind or 'an unknown kind'}, which suppresses nobody"
                return self._list(letter, heard, Other.PERSON, why)
        said = list(_said(heard))
        if not said:
            self.account.others[Other.NOTICE] += 1
            return True
        return self._count(letter, heard, self._record(mailed, said, heard.identity, now))

    def _mailed(self, heard: Heard) -> Mailed | None:
        """Return the row that a mail is about: by its token, or by the returned message."""
        rows = (self._returns.of_token(token) for token in heard.tokens)
        returned = (self._returns.of_message_id(message_id) for message_id in heard.message_ids)
        return next((row for found in (rows, returned) for row in found if row is not None), None)

    def _record(self, mailed: Mailed, said: list[Said], source: str, now: int) -> list[Recorded]:
        if not self._dry:
            return self._returns.record(mailed, said, source, now, self._rules)
        return [
            Recorded(one.kind, address, Fate.NOTED if address else Fate.UNNAMED)
            for address, one in by_address(mailed, said)
        ]

    def _count(self, letter: Letter, heard: Heard, recorded: list[Recorded]) -> bool:
        done = True
        for one in recorded:
            self.account.fates.setdefault(one.fate, set()).add((one.kind, one.address))
            self.account.too_often += one.fate is Fate.TOO_OFTEN
            if one.fate is Fate.UNNAMED:
                done = self._list(letter, heard, Other.PERSON, "its row went to several addresses; of which?")
            elif one.fate is Fate.KNOWN:
                self.account.others[Other.EARLIER] += 1
            else:
                self.account.kinds.setdefault(one.kind, set()).add(one.address)
        return done

    def _list(self, letter: Letter, heard: Heard, other: Other, why: str) -> bool:
        """Count a mail that stays where it is, and list it for a person."""
        self.account.others[other] += 1
        if len(self.account.listed) < _LISTED:
            self.account.listed.append(Listed(letter.where, heard.sender, heard.subject, why))
        else:
            self.account.unlisted += 1
        return False


def _said(heard: Heard) -> Iterator[Said]:
    """Yield what a report says about each address that it names."""
    match heard.report:
        case Bounce(failures=failures):
            for failure in failures:
                if failure.failed:
                    names = tuple(filter(None, (failure.original, failure.final)))
                    kind = classify(failure.code)
                    if kind is Class.HARD and failure.passed_on:
                        kind = Class.SOFT
                    yield Said(_KINDS[kind], names, _words(failure))
        case Complaint(type=kind, addresses=names):
            yield Said(Kind.COMPLAINED, names, kind)
        case Unsubscribe(address=name):
            yield Said(Kind.UNSUBSCRIBED, (name,), "mail")


def _words(failure: Failure) -> str:
    """Return code and answer of a failure, without addresses: a forgotten person must leave no trace."""
    words = re.sub(r"<[^<>\s]*@[^<>\s]*>|\S+@\S+", "…@…", failure.words)
    return f"{failure.code or 'unknown'} {words}".strip()
