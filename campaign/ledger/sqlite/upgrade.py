"""Upgrades a ledger of schema 1, which an earlier release wrote, to schema 2. Nothing is lost.

    messages   `folded`, `domain` and `hash` are computed from each address
    keys       addresses in them are folded again, other parts normalised (NFC)
    copies     one row for each cc or bcc address that has an event
    the rest   unchanged; suppressions hold for every campaign

Schema 1 folded addresses by case folding, which maps more addresses to one than `address.fold`. A row
that has had an intent keeps its Message-ID and bounce token: they are derived from its old key, which
becomes its `identity`. Patterns and hashes of the old folding stay; `REFOLDED_AT` tells which ones to
compare in that form.
"""

from __future__ import annotations

import json
import re
import time
import unicodedata
from pathlib import Path

from campaign.address import fold, fold_of_version_1
from campaign.ledger.patterns import forms, is_hash
from campaign.ledger.sqlite.campaigns import ADDRESS
from campaign.ledger.sqlite.completeness import end_dead_runs, is_wal_untouched
from campaign.ledger.sqlite.database import Database
from campaign.ledger.sqlite.file import check_header
from campaign.ledger.sqlite.runs import close, refuse_held
from campaign.ledger.sqlite.schema import SCHEMA, VERSION

REFOLDED_AT = "refolded_at"  # setting: UTC ns until which suppressions were folded as in schema 1

_TABLES = ("campaigns", "layouts", "runs", "messages", "attempts", "events", "suppressions")
_INDEXES = ("messages_due", "messages_rest", "attempts_started", "attempts_message", "events_key")


def bring_up_to_date(path: Path) -> None:
    """Upgrade a ledger that an earlier release wrote to this schema; all of it or nothing.

    Raises UserError if another process is sending, or if the ledger cannot be written.
    """
    if check_header(path) == VERSION:
        return
    database = Database.open(path)
    wal_untouched = is_wal_untouched(database)
    try:
        with database.transaction():
            while (version := database.version()) < VERSION:
                refuse_held(database, time.time_ns())
                _STEPS[version](database, time.time_ns())
        end_dead_runs(database, time.time_ns())
    finally:
        close(database, time.time_ns(), wal_untouched=wal_untouched)


def from_version_1(database: Database, now: int) -> None:
    """Upgrade a ledger from schema 1 to 2, within the caller's transaction. `now` is UTC ns."""
    secret = database.secret()
    database.add_function("upgrade_rekeyed", 3, _rekeyed)
    database.add_function("upgrade_folded", 1, lambda address: forms(secret, address).folded)
    database.add_function("upgrade_domain", 1, lambda address: forms(secret, address).domain)
    database.add_function("upgrade_hash", 1, lambda address: forms(secret, address).hash)
    for index in _INDEXES:
        database.change(f"DROP INDEX {index}")
    for table in _TABLES:
        database.change(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in re.sub("--.*", "", SCHEMA).split(";"):
        if statement.strip() and "CREATE TABLE settings" not in statement:
            database.change(statement)
    for statement in _COPY:
        database.change(statement, {"now": now} if ":now" in statement else {})
    for table in _TABLES:
        database.change(f"DROP TABLE old_{table}")
    database.set_setting(REFOLDED_AT, now)
    database.change("PRAGMA user_version = 2")


# If two rows now have the same key, the first keeps it; an accepted row comes before others.
_MESSAGES = """
INSERT OR IGNORE INTO messages (id, campaign, key, identity, number, line, email, folded, domain, hash, name,
    layout, fields, status, due_at, attempts, spared, run, message_id, reply, settled_at)
SELECT m.id, m.campaign, {key}, CASE WHEN message_id IS NOT NULL AND {key} != m.key THEN m.key END,
    number, line, email, upgrade_folded(email), upgrade_domain(email), upgrade_hash(email), m.name, layout,
    fields, status, due_at, attempts, 0, run, message_id, reply, settled_at
FROM old_messages m JOIN old_campaigns c ON c.id = m.campaign
ORDER BY status != 'accepted', m.id
"""

_COPY = (
    "INSERT INTO campaigns (id, name, file, digest, key, created_at)"
    " SELECT id, name, file, digest, key, created_at FROM old_campaigns",
    "INSERT INTO layouts SELECT * FROM old_layouts",
    "INSERT INTO runs (id, campaign, host, pid, process, server, username, started_at, heartbeat, ended_at)"
    " SELECT id, campaign, host, pid, process, server, username, started_at, heartbeat, ended_at"
    " FROM old_runs",
    _MESSAGES.format(key="upgrade_rekeyed(m.key, m.email, c.key)"),
    # Rows whose new key is taken keep their old one, or get one that no list can contain.
    _MESSAGES.format(key="m.key"),
    _MESSAGES.format(key="' twin ' || m.id"),
    "INSERT INTO attempts (id, run, message, started_at, addresses)"
    " SELECT id, run, message, started_at, addresses FROM old_attempts",
    # Events get their row's new key.
    "INSERT INTO events (id, campaign, key, address, kind, time, text)"
    " SELECT e.id, e.campaign, coalesce(n.key, e.key), e.address, e.kind, e.time, e.text FROM old_events e"
    " LEFT JOIN old_messages m ON m.campaign = e.campaign AND m.key = e.key"
    " LEFT JOIN messages n ON n.id = m.id",
    "INSERT INTO suppressions (pattern, campaign, state, reason, added_at)"
    " SELECT pattern, 0, 'released', reason, added_at FROM old_suppressions",
    # The last event for each copy. A copy in doubt gets the status of its row's own address, which was in the
    # same envelope. A deferred copy is still to be sent: schema 1 forgot it.
    """
    INSERT OR IGNORE INTO copies (message, address, folded, domain, hash, status, due_at, attempts, run,
        reply, settled_at)
    SELECT m.id, e.address, upgrade_folded(e.address), upgrade_domain(e.address), upgrade_hash(e.address),
        CASE WHEN e.kind = 'in_doubt' AND m.status IN ('accepted', 'pending') THEN m.status ELSE e.kind END,
        :now, 1, NULL, e.text, e.time
    FROM events e JOIN messages m ON m.campaign = e.campaign AND m.key = e.key
    WHERE e.address != '' AND upgrade_folded(e.address) != m.folded
      AND e.kind IN ('accepted', 'refused', 'deferred', 'in_doubt')
    ORDER BY e.id DESC
    """,
)


def _rekeyed(key: str, email: str, columns: str | None) -> str:
    """Return the key that a row has in schema 2. `columns` is `campaigns.key`, as JSON."""
    if is_hash(key):
        return key
    known: list[str] = json.loads(columns) if columns else [ADDRESS]
    if len(known) == 1:
        return _part(key, email, known[0])
    try:
        parts = json.loads(key)
    except ValueError:
        return key
    if not isinstance(parts, list) or len(parts) != len(known):
        return key
    return json.dumps(
        [_part(part, email, name) for part, name in zip(parts, known, strict=True)], ensure_ascii=False
    )


def _part(part: str, email: str, name: str) -> str:
    if name == ADDRESS and part == fold_of_version_1(email):
        return fold(email)
    return unicodedata.normalize("NFC", part)


_STEPS = {1: from_version_1}
