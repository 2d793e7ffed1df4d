"""Who gets nothing: an entry of the suppression list, and what the list must be able to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Suppression:
    """An entry of the suppression list: its pattern (see `patterns`), why, and since when.

    `run` made it by an answer of the server; such a one holds for the campaign `held_for` alone until the
    answers around it have been judged. So does one by a bounce, until a person has judged, where too many
    bounced. `campaign` is the one whose answer or bounce it was, "" for a person's decision.
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
        """Remove entries, and return the patterns that had none.

        The rows concerned become pending with the next enrolment.
        """

    def remove_made_by(self, *, run: int | None = None, reason: str | None = None) -> int:
        """Remove the entries that a run has made, or whose reason contains a text; return how many."""

    def __iter__(self) -> Iterator[Suppression]: ...

    def __len__(self) -> int: ...
