"""The tables of a ledger. Times are UTC, in integer nanoseconds since 1970.

`messages` has a row per (campaign, key) and is where a row of the list, and its own address, stand
now; `copies` has a row for each cc or bcc address of a message that something was said of. `attempts`
and `events` are only ever appended to, and say how it came there: `attempts` is what rate windows are
rebuilt from; `events` holds every answer per address, and is where bounces, complaints and
unsubscribes speak too.

What addresses are compared by is computed once, in Python, and stored: `folded`, `domain` and `hash`
(`functions.Folded`). No statement that runs while messages leave calls Python.

Each index is one more page in the commit of each message: only what came back of messages is indexed in
`events`. Who is forgotten is looked for in all of them, and the last verdicts are found from the end. Ledgers
that have further indexes of `events`, by key and by verdict, are read and written as well.
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
    digest TEXT,             -- of the content that was accepted last
    key TEXT,                -- JSON list: the columns that tell its rows apart
    rows INTEGER,            -- of the list, when it was enrolled last
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
    steady INTEGER,          -- the heartbeat on `clock.steady`
    ended_at INTEGER
) STRICT;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaigns,
    key TEXT NOT NULL,
    identity TEXT,           -- what Message-ID and tokens are made of, where it is not the key
    number INTEGER NOT NULL, -- of the row in the list, from 1
    line INTEGER NOT NULL,
    email TEXT NOT NULL,
    folded TEXT NOT NULL,    -- what the address is compared by
    domain TEXT NOT NULL,    -- @ and its domain, as a suppression names it
    hash TEXT NOT NULL,      -- # and a keyed hash of it, as a suppression of who was forgotten has it
    name TEXT NOT NULL,
    layout INTEGER NOT NULL REFERENCES layouts,
    fields TEXT NOT NULL,    -- JSON list of the cells
    status TEXT NOT NULL,
    left_as TEXT,            -- of a withdrawn row: its status when it left the list
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    spared INTEGER NOT NULL, -- attempts that were not charged: throttled, or the session ended
    run INTEGER REFERENCES runs,
    message_id TEXT,         -- from its first intent on
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

CREATE TABLE copies (        -- cc and bcc addresses of messages, once something was said of them
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

CREATE TABLE attempts (      -- a content was about to leave
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    message INTEGER,         -- none for a test message
    started_at INTEGER NOT NULL,  -- when it was planned to leave
    steady INTEGER,          -- that on `clock.steady`
    addresses INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_run ON attempts (run);
CREATE INDEX attempts_message ON attempts (message);

CREATE TABLE events (        -- what was said of an address
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL,
    key TEXT NOT NULL,
    address TEXT NOT NULL,
    kind TEXT NOT NULL,
    time INTEGER NOT NULL,
    text TEXT NOT NULL,
    run INTEGER,
    verdict TEXT,            -- of a row's own address at the end of an attempt: the breaker judges by these
    source TEXT              -- of a bounce, complaint or unsubscription: the report that says it
) STRICT;
CREATE UNIQUE INDEX events_source ON events (campaign, key, source) WHERE source IS NOT NULL;
CREATE INDEX events_kind ON events (campaign, kind, address) WHERE source IS NOT NULL;
CREATE INDEX events_address ON events (address, kind) WHERE source IS NOT NULL;

CREATE TABLE suppressions (  -- who gets nothing
    pattern TEXT NOT NULL,   -- a folded address, @domain, or # and a keyed hash of the address
    campaign INTEGER NOT NULL,  -- whose answer it was; 0: a person's decision
    state TEXT NOT NULL,     -- released: holds for every campaign; held: for `campaign` alone, until judged;
                             -- disputed: the same, until a person has judged
    reason TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    run INTEGER,
    event INTEGER,           -- the answer or report that made it
    PRIMARY KEY (pattern, campaign)
) WITHOUT ROWID, STRICT;
CREATE INDEX suppressions_held ON suppressions (campaign, event) WHERE state = 'held';
"""
