"""Where a person who is to be forgotten may be found in a ledger: by what is looked, and what was found."""

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
    """What the ledger holds of a person, by ids. `others` counts rows of other people that name them.

    `rows` are the person's own. What may name the person is shown to `see_row`, `see_event` and `see_copy`,
    which take what does.
    """

    whom: str
    rows: set[int]
    events: list[tuple[int]] = field(default_factory=list)
    texts: list[tuple[int]] = field(default_factory=list)
    replies: list[tuple[int]] = field(default_factory=list)
    copy_replies: list[tuple[int]] = field(default_factory=list)
    others: int = 0
    listed: bool = False  # as a copy, or on the suppression list
    _folded: str = field(init=False)

    def __post_init__(self) -> None:
        self._folded = fold(self.whom)

    def see_row(self, row_id: int, status: str, fields: str, reply: str) -> None:
        """Take a row: a bad one that names the person is the person's, of any other the reply."""
        named = row_id not in self.rows and self._folded in addresses_in(fields)
        if named and status == Status.INVALID:
            self.rows.add(row_id)
        elif row_id not in self.rows:
            self.others += named
            if quotes(reply, self.whom):
                self.replies.append((row_id,))

    def see_event(self, event_id: int, address: str, text: str) -> None:
        """Take an event of the person, or the text of another's."""
        if fold(address) == self._folded:
            self.events.append((event_id,))
        elif quotes(text, self.whom):
            self.texts.append((event_id,))

    def see_copy(self, copy_id: int, reply: str) -> None:
        """Take the reply about a copy."""
        if quotes(reply, self.whom):
            self.copy_replies.append((copy_id,))

    @property
    def nothing(self) -> bool:
        return (
            not (self.rows or self.events or self.texts or self.replies or self.copy_replies or self.others)
            and not self.listed
        )


def searched_for(text: str, bad_rows: Callable[[], Iterable[tuple[int, str]]]) -> tuple[str, set[int]]:
    """Return the address that `text` is, or the cell, and the ids of the bad rows that it is a cell of.

    `bad_rows` returns id and cells, as JSON, of every bad row. Raises UserError where `text` is neither.
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


def parts_of(address: str) -> list[str]:
    """Return what each text that names an address contains, in whatever case: the address, if ASCII decides.

    Otherwise its domain, in both its forms: statements know no case beyond ASCII.
    """
    domain = domain_of(address)
    if address.isascii() and "xn--" not in domain:
        return [address]
    return list(dict.fromkeys([f"@{domain}", f"@{display_domain(domain)}"]))


def like(text: str) -> str:
    """Return the LIKE pattern, with ^ to escape, of texts that contain one as JSON, as cells are stored."""
    escaped = re.sub("[%_^]", r"^\g<0>", json.dumps(text, ensure_ascii=False)[1:-1])
    return f"%{escaped}%"


def quotes(words: str, address: str) -> bool:
    """Whether the words of a server contain an address, whatever stands around it."""
    return fold(address) in fold(words) or fold(address) in addresses_in(words)
