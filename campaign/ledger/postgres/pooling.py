"""Detects a connection pooler that gives server connections to other clients between transactions.

Session settings (where the tables are, how durable a commit is) and prepared statements would then apply
to other clients' connections.
"""

from __future__ import annotations

import secrets

from campaign.errors import UserError
from campaign.ledger.postgres.connection import SHARED_BY_A_POOLER
from campaign.ledger.postgres.database import Database

_MARK = "campaign.session"  # a setting of our own


def refuse_shared(database: Database, other: Database) -> None:
    """Raise UserError if the two connections are not two sessions of their own on the server.

    A pooler tells its clients another process id than that of the serving process. If that is so, this
    session sets a mark, and `other` begins a transaction, for which a pooler uses the connection that was
    used last. If it shares connections, either `other` sees the mark, or this one no longer does.
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
