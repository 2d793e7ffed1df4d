"""The suppression list: its entries, and what a ledger must be able to do with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Suppression:
    """An entry of the suppression list: its pattern (see `patterns`), the reason, and when it was added.

    `run` is the run in which a server's answer caused it. Such an entry holds only for the campaign
    `held_for` until the results around that answer have been judged. An entry caused by a bounce does the
    same, until a person decides, if too many addresses bounced. `campaign` is where the answer or bounce
    came from; "" if a person added the entry.
    """

    pattern: str
    reason: str
    added_at: int
    run: int | None = None
    held_for: str = ""
    campaign: str = ""


class Suppressions(Protocol):
    """The suppression list, shared by all campaigns of a ledger.

    A change takes effect with the next message, also in another process that is sending.
    """

    def add(self, entries: Iterable[Suppression]) -> tuple[list[str], int]:
        """Add entries; return the patterns that are new, and how many waiting rows they suppressed."""

    def remove(self, patterns: Iterable[str]) -> list[str]:
        """Remove entries, and return the patterns that were not on the list.

        Their rows become pending at the next enrolment.
        """

    def remove_made_by(self, *, run: int | None = None, reason: str | None = None) -> int:
        """Remove the entries that a run caused, or whose reason contains a text; return how many."""

    def __iter__(self) -> Iterator[Suppression]: ...

    def __len__(self) -> int: ...
