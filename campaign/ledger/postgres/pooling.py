"""Whether a pooler stands before the server, and gives connections to others between transactions.

What is set for a session (where the tables are, how durable a commit is), and what is prepared in it, would
be another's then.
"""

from __future__ import annotations

import secrets

from campaign.errors import UserError
from campaign.ledger.postgres.connection import SHARED_BY_A_POOLER
from campaign.ledger.postgres.database import Database

_MARK = "campaign.session"  # a setting of ours


def refuse_shared(database: Database, other: Database) -> None:
    """Raise UserError where two connections of a ledger are not two sessions of its server.

    A pooler tells each of its clients another process than the one that serves it. Where one is there, this
    session gets a mark, and a transaction of the other takes the connection that was used last: it sees the
    mark, or takes it away.
    """
    if database.row("SELECT pg_backend_pid()") == (database.pid,):
        return
    mark = secrets.token_hex(8)
    database.row("SELECT set_config(%s, %s, false)", (_MARK, mark))
    with other.transaction():
        seen = _marked(other, mark) or not _marked(database, mark)
    if seen:
        raise UserError(database.problem(SHARED_BY_A_POOLER))


def _marked(database: Database, mark: str) -> bool:
    return database.row("SELECT current_setting(%s, true)", (_MARK,)) == (mark,)
