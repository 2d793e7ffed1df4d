"""What workers are asked through a ledger that machines share, before a campaign is sent.

    ask → (each worker: unanswered → answer) → answers → withdraw

A question says what a campaign needs, by name; an answer names what is missing on the worker's machine.
Neither holds a secret, and whoever can write into the ledger learns no more than names by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says is missing on its machine, a sentence for each thing; () for nothing.

    `differs` is what is otherwise there, and may well be meant.
    """

    host: str
    pid: int
    missing: tuple[str, ...]
    differs: tuple[str, ...] = ()


class Questions(Protocol):
    """The questions in a ledger. They are lost with it, and are worth nothing after a minute."""

    def ask(self, needs: str) -> int:
        """Put a question, and return its number."""

    def answers(self, question: int) -> list[Answer]:
        """Return what was answered so far, by host and process."""

    def withdraw(self, question: int) -> None:
        """Remove a question and its answers."""

    def unanswered(self) -> list[tuple[int, str]]:
        """Return the questions (number, needs) that this process has not answered."""

    def answer(self, question: int, missing: Sequence[str], differs: Sequence[str] = ()) -> None:
        """Answer one for this process."""
