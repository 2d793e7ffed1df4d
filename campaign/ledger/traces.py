"""Finding everything that a ledger holds about a person who is to be forgotten."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from campaign.address import AddressError, display_domain, domain_of, fold, parse_address
from campaign.errors import UserError
from campaign.ledger.patterns import addresses_in
from campaign.model import Status


@dataclass(slots=True)
class Found:
    """What the ledger holds about a person, as ids. `others` counts other people's rows that name the person.

    `rows` are the person's own. Candidates, which may name the person, are passed to `see_row`, `see_event`
    and `see_copy`; these keep those that do.
    """

    whom: str
    rows: set[int]
    events: list[tuple[int]] = field(default_factory=list)
    texts: list[tuple[int]] = field(default_factory=list)
    replies: list[tuple[int]] = field(default_factory=list)
    copy_replies: list[tuple[int]] = field(default_factory=list)
    others: int = 0
    listed: bool = False  # there is a copy to, or a suppression of, the address
    _folded: str = field(init=False)

    def __post_init__(self) -> None:
        self._folded = fold(self.whom)

    def see_row(self, row_id: int, status: str, fields: str, reply: str) -> None:
        """Judge a row: it is the person's own, it names them in a cell, or its reply does.

        A bad row that names the person counts as their own.
        """
        named = row_id not in self.rows and self._folded in addresses_in(fields)
        if named and status == Status.INVALID:
            self.rows.add(row_id)
        elif row_id not in self.rows:
            self.others += named
            if quotes(reply, self.whom):
                self.replies.append((row_id,))

    def see_event(self, event_id: int, address: str, text: str) -> None:
        """Judge an event: it is the person's own, or its text may name them."""
        if fold(address) == self._folded:
            self.events.append((event_id,))
        elif quotes(text, self.whom):
            self.texts.append((event_id,))

    def see_copy(self, copy_id: int, reply: str) -> None:
        """Judge a copy's reply."""
        if quotes(reply, self.whom):
            self.copy_replies.append((copy_id,))

    @property
    def nothing(self) -> bool:
        """Whether the ledger holds nothing about the person."""
        return (
            not (self.rows or self.events or self.texts or self.replies or self.copy_replies or self.others)
            and not self.listed
        )


def search_target(text: str, bad_rows: Callable[[], Iterable[tuple[int, str]]]) -> tuple[str, set[int]]:
    """Return the address in `text`; or, if it is the cell of a bad row, that cell and the ids of such rows.

    `bad_rows` returns (id, cells as JSON) of every bad row. Raises UserError if `text` is neither.
    """
    try:
        return parse_address(text), set()
    except AddressError as error:
        cell = text.strip()
        rows = {
            row_id
            for row_id, fields in bad_rows()
            if cell and cell in (value.strip() for value in json.loads(str(fields)))
        }
        if not rows:
            raise UserError(f"{error}; nor is it a cell of a bad row. Nothing was changed") from None
        return cell, rows


def search_terms(address: str) -> list[str]:
    """Return texts one of which is in every text that names the address, ignoring ASCII case.

    That is the address itself if ASCII case folding is enough for it. Otherwise it is its domain, in both
    forms, because SQL ignores case only in ASCII.
    """
    domain = domain_of(address)
    if address.isascii() and "xn--" not in domain:
        return [address]
    return list(dict.fromkeys([f"@{domain}", f"@{display_domain(domain)}"]))


def like_pattern(text: str) -> str:
    """Return the LIKE pattern for texts that contain `text` as stored JSON; ^ is the escape character."""
    escaped = re.sub("[%_^]", r"^\g<0>", json.dumps(text, ensure_ascii=False)[1:-1])
    return f"%{escaped}%"


def quotes(words: str, address: str) -> bool:
    """Whether a server's reply contains an address."""
    return fold(address) in fold(words) or fold(address) in addresses_in(words)
