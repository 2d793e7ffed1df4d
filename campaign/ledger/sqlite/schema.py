"""The tables of a ledger. Times are UTC, in integer nanoseconds since 1970.

`messages` has a row per (campaign, key) and is where a row stands now; `attempts` and `events` are
only ever appended to, and say how it came there. `attempts` is what rate windows are rebuilt from;
`events` holds every answer per address, and is where bounces, complaints and unsubscribes will
speak too.
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
    key TEXT,                -- JSON list: the columns that tell its rows apart
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE layouts (       -- the columns of a list, which `messages.fields` are the cells of
    id INTEGER PRIMARY KEY,
    columns TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE runs (          -- who has been sending; the one without an end holds the lease
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaigns,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,   -- tells a process from a later one with its pid
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

CREATE TABLE attempts (      -- a content was about to leave
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    message INTEGER,         -- none for a test message
    started_at INTEGER NOT NULL,
    addresses INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_started ON attempts (started_at);
CREATE INDEX attempts_message ON attempts (message);

CREATE TABLE events (        -- what was said of an address
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL,
    key TEXT NOT NULL,
    address TEXT NOT NULL,
    kind TEXT NOT NULL,
    time INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX events_key ON events (campaign, key);

CREATE TABLE suppressions (  -- who gets nothing from any campaign of this ledger
    pattern TEXT PRIMARY KEY,  -- a folded address, @domain, or # and a keyed hash of the address
    reason TEXT NOT NULL,
    added_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
"""
