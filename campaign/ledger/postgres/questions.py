"""Questions to workers, in PostgreSQL; see `ledger.questions`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from campaign.ledger.postgres.database import Database
from campaign.ledger.postgres.schema import NOW
from campaign.ledger.processes import this_process
from campaign.ledger.questions import Answer
from campaign.model import SECOND

_WORTH = 60 * SECOND  # ns after which nobody waits for answers


class PostgresQuestions:
    """The questions in a ledger's database; see `questions.Questions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, needs: str) -> int:
        """Ask a question, and return its number. Expired questions are removed."""
        self._database.change(f"DELETE FROM questions WHERE asked_at < {NOW} - %s", (_WORTH,))
        found = self._database.row(
            f"INSERT INTO questions (asked_at, needs) VALUES ({NOW}, %s) RETURNING id", (needs,)
        )
        return found[0] if found else 0

    def answers(self, question: int) -> list[Answer]:
        """Return the answers so far, ordered by host and pid."""
        found = self._database.rows(
            "SELECT host, pid, missing FROM answers WHERE question = %s ORDER BY host, pid", (question,)
        )
        return [Answer(str(host), pid, *_read(missing)) for host, pid, missing in found]

    def withdraw(self, question: int) -> None:
        """Remove a question and its answers."""
        self._database.change("DELETE FROM questions WHERE id = %s", (question,))

    def unanswered(self) -> list[tuple[int, str]]:
        """Return the questions (number, needs) that this process has not answered."""
        found = self._database.rows(
            f"SELECT id, needs FROM questions q WHERE asked_at > {NOW} - %s AND NOT EXISTS"
            " (SELECT 1 FROM answers a WHERE a.question = q.id"
            "  AND (a.host, a.pid, a.process) = (%s, %s, %s))",
            (_WORTH, *this_process()),
        )
        return [(number, str(needs)) for number, needs in found]

    def answer(self, question: int, missing: Sequence[str], differs: Sequence[str] = ()) -> None:
        """Answer a question for this process; does nothing if it was withdrawn."""
        # Earlier releases know only what is missing, and do not ask for what differs.
        answer = [list(missing), list(differs)] if differs else list(missing)
        self._database.change(
            "INSERT INTO answers (question, host, pid, process, missing)"
            " SELECT id, %s, %s, %s, %s FROM questions WHERE id = %s FOR KEY SHARE"
            " ON CONFLICT DO NOTHING",
            (*this_process(), json.dumps(answer, ensure_ascii=False), question),
        )


def _read(answer: str) -> list[tuple[str, ...]]:
    """Return what is missing, and what differs, from a stored answer."""
    found = json.loads(answer)
    parts = found if found and isinstance(found[0], list) else [found]
    return [tuple(map(str, part)) for part in parts]
