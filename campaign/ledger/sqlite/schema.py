"""The tables of a ledger. Times are UTC, in integer nanoseconds since 1970.

`messages` has one row per (campaign, key): the state of a row of the list, and of its own address.
`copies` has one row for each cc or bcc address of a message once it has been attempted. `attempts` and
`events` are append-only. `attempts` records each content that was about to leave; rate windows are
rebuilt from it. `events` records each answer per address, and bounces, complaints and unsubscribes.

The forms in which addresses are compared are computed once, in Python, and stored: `folded`, `domain` and
`hash` (`patterns.Forms`). No statement that runs while messages leave calls Python.

Each index adds a page to the commit of each message. So `events` is indexed only for what came back.
Forgetting a person scans all events, and the latest verdicts are found by reading from the end. Some
ledgers have further indexes of `events`, by key and by verdict; they work just as well.
"""

from __future__ import annotations

APPLICATION_ID = 0x43414D50  # "CAMP", in the file's header
VERSION = 2

SCHEMA = """
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value ANY
) WITHOUT ROWID, STRICT;

CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL,
    digest TEXT,             -- of the content that was last sent
    key TEXT,                -- JSON list: the key columns
    rows INTEGER,            -- number of rows of the list at the last enrolment
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE layouts (       -- the columns of a list; `messages.fields` are its cells
    id INTEGER PRIMARY KEY,
    columns TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE runs (          -- sending runs; the one that has not ended holds the lease
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaigns,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,   -- distinguishes the process from a later one with the same pid
    server TEXT NOT NULL,    -- the scope of the rate, together with `username`
    username TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    heartbeat INTEGER NOT NULL,
    steady INTEGER,          -- the time of the heartbeat on `clock.steady`
    ended_at INTEGER
) STRICT;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaigns,
    key TEXT NOT NULL,
    identity TEXT,           -- what Message-ID and tokens are derived from, if not the key
    number INTEGER NOT NULL, -- of the row in the list, from 1
    line INTEGER NOT NULL,
    email TEXT NOT NULL,
    folded TEXT NOT NULL,    -- the form of the address that is compared
    domain TEXT NOT NULL,    -- @ and its domain, as in suppression patterns
    hash TEXT NOT NULL,      -- # and a keyed hash of it, as in suppressions of forgotten people
    name TEXT NOT NULL,
    layout INTEGER NOT NULL REFERENCES layouts,
    fields TEXT NOT NULL,    -- JSON list of the cells
    status TEXT NOT NULL,
    left_as TEXT,            -- the status that a row had when it left the list
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    spared INTEGER NOT NULL, -- attempts that were not charged: throttled, or the session ended
    run INTEGER REFERENCES runs,
    message_id TEXT,         -- set by its first intent
    bounce_token TEXT,
    reply TEXT NOT NULL,
    settled_at INTEGER,
    UNIQUE (campaign, key)
) STRICT;
CREATE INDEX messages_due ON messages (campaign, due_at, number) WHERE status IN ('pending', 'deferred');
CREATE INDEX messages_status ON messages (campaign, status, domain, settled_at);
CREATE INDEX messages_accepted ON messages (campaign, settled_at) WHERE status = 'accepted';
CREATE INDEX messages_folded ON messages (folded);
CREATE INDEX messages_message_id ON messages (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX messages_bounce_token ON messages (bounce_token) WHERE bounce_token IS NOT NULL;

CREATE TABLE copies (        -- cc and bcc addresses of messages, once they were attempted
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL REFERENCES messages,
    address TEXT NOT NULL,
    folded TEXT NOT NULL,
    domain TEXT NOT NULL,
    hash TEXT NOT NULL,
    status TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    run INTEGER REFERENCES runs,
    reply TEXT NOT NULL,
    settled_at INTEGER,
    UNIQUE (message, folded)
) STRICT;
CREATE INDEX copies_status ON copies (status, due_at);
CREATE INDEX copies_folded ON copies (folded);

CREATE TABLE attempts (      -- one row for each content that was about to leave
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    message INTEGER,         -- NULL for a test message
    started_at INTEGER NOT NULL,  -- when it was planned to leave
    steady INTEGER,          -- the same on `clock.steady`
    addresses INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_run ON attempts (run);
CREATE INDEX attempts_message ON attempts (message);

CREATE TABLE events (        -- what a server or a report said about an address
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL,
    key TEXT NOT NULL,
    address TEXT NOT NULL,
    kind TEXT NOT NULL,
    time INTEGER NOT NULL,
    text TEXT NOT NULL,
    run INTEGER,
    verdict TEXT,            -- of a row's own address at the end of an attempt; the breaker uses these
    source TEXT              -- the report, for a bounce, complaint or unsubscribe request
) STRICT;
CREATE UNIQUE INDEX events_source ON events (campaign, key, source) WHERE source IS NOT NULL;
CREATE INDEX events_kind ON events (campaign, kind, address) WHERE source IS NOT NULL;
CREATE INDEX events_address ON events (address, kind) WHERE source IS NOT NULL;

CREATE TABLE suppressions (  -- addresses and domains that are not mailed
    pattern TEXT NOT NULL,   -- a folded address, @domain, or # and a keyed hash of the address
    campaign INTEGER NOT NULL,  -- the campaign that caused it; 0: a person decided
    state TEXT NOT NULL,     -- released: holds for every campaign; held: for `campaign` alone, until judged;
                             -- disputed: the same, until a person has judged
    reason TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    run INTEGER,
    event INTEGER,           -- the answer or report that caused it
    PRIMARY KEY (pattern, campaign)
) WITHOUT ROWID, STRICT;
CREATE INDEX suppressions_held ON suppressions (campaign, event) WHERE state = 'held';
"""
