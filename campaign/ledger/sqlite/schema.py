"""The tables of a ledger. Times are UTC, in integer nanoseconds since 1970.

`messages` has a row per (campaign, key) and holds its current state. `attempts` and `events` are
append-only and hold how it got there: rate windows are rebuilt from `attempts`, and `events` has every
answer, per address.
"""

from __future__ import annotations

APPLICATION_ID = 0x43414D50  # "CAMP", in the file's header
VERSION = 1

SCHEMA = """
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value ANY
) WITHOUT ROWID, STRICT;

CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL,
    digest TEXT,             -- of the content that was accepted last
    key TEXT,                -- JSON list of the key columns
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE layouts (       -- the columns of a list; `messages.fields` holds the cells
    id INTEGER PRIMARY KEY,
    columns TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE runs (          -- sending processes; the live one without an end holds the lease
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaigns,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,   -- distinguishes a process from a later one with the same pid
    server TEXT NOT NULL,    -- with `username`, the scope of the rate
    username TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    heartbeat INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaigns,
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    line INTEGER NOT NULL,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    layout INTEGER NOT NULL REFERENCES layouts,
    fields TEXT NOT NULL,    -- JSON list of the cells
    status TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    run INTEGER REFERENCES runs,
    message_id TEXT,
    reply TEXT NOT NULL,
    settled_at INTEGER,
    UNIQUE (campaign, key)
) STRICT;
CREATE INDEX messages_due ON messages (campaign, due_at, number) WHERE status IN ('pending', 'deferred');
CREATE INDEX messages_rest ON messages (campaign, status)
    WHERE status NOT IN ('pending', 'deferred', 'accepted');

CREATE TABLE attempts (      -- the content of a message was about to leave
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    message INTEGER,         -- NULL for a test message
    started_at INTEGER NOT NULL,
    addresses INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_started ON attempts (started_at);
CREATE INDEX attempts_message ON attempts (message);

CREATE TABLE events (        -- what a server or a person said of an address
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL,
    key TEXT NOT NULL,
    address TEXT NOT NULL,
    kind TEXT NOT NULL,
    time INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX events_key ON events (campaign, key);

CREATE TABLE suppressions (  -- who gets nothing from any campaign of the ledger
    pattern TEXT PRIMARY KEY,  -- a folded address, @domain, or # and a keyed hash of the address
    reason TEXT NOT NULL,
    added_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
"""
