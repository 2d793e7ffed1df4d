"""Where a person who is to be forgotten may be found in a ledger: by what is looked, and what was found."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from campaign.address import display_domain, domain_of, fold
from campaign.ledger.patterns import addresses_in


@dataclass(slots=True)
class Found:
    """What the ledger holds of a person, by ids. `others` counts rows of other people that name them."""

    rows: list[int] = field(default_factory=list)
    events: list[tuple[int]] = field(default_factory=list)
    texts: list[tuple[int]] = field(default_factory=list)
    replies: list[tuple[int]] = field(default_factory=list)
    copy_replies: list[tuple[int]] = field(default_factory=list)
    others: int = 0
    listed: bool = False  # as a copy, or on the suppression list

    @property
    def nothing(self) -> bool:
        return (
            not (self.rows or self.events or self.texts or self.replies or self.copy_replies or self.others)
            and not self.listed
        )


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
