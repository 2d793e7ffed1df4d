"""Questions to workers before a campaign is sent, through a ledger that machines share.

    ask → (each worker: unanswered → answer) → answers → withdraw

A question lists by name what a campaign needs; an answer lists what is missing on the worker's machine.
Neither contains secrets: whoever can read or write the ledger learns only names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What is missing on a worker's machine, one sentence per thing; () if nothing is.

    `differs` lists things that are there in another version, which may be intended.
    """

    host: str
    pid: int
    missing: tuple[str, ...]
    differs: tuple[str, ...] = ()


class Questions(Protocol):
    """The questions in a ledger. After a minute a question expires; nothing depends on keeping one."""

    def ask(self, needs: str) -> int:
        """Ask a question, and return its number."""

    def answers(self, question: int) -> list[Answer]:
        """Return the answers so far, ordered by host and pid."""

    def withdraw(self, question: int) -> None:
        """Remove a question and its answers."""

    def unanswered(self) -> list[tuple[int, str]]:
        """Return the questions (number, needs) that this process has not answered."""

    def answer(self, question: int, missing: Sequence[str], differs: Sequence[str] = ()) -> None:
        """Answer a question for this process."""
