"""The tables of a ledger in PostgreSQL, in a schema of their own. Times are UTC, in integer ns since 1970.

They mean the same as those in `sqlite/schema.py`. In addition:

    campaigns   `state` says whether workers send it, and `why` it stopped; `generation` changes each
                time a person agrees to send; `bundle` is the blob that lists the others
    runs        many that are `shared` may be unended; `heartbeat` is of the database's clock;
                `recorded` is the number of the last `record` that was committed, which shows
                whether an interrupted commit took place
    messages    `claim` is the run that holds a waiting row
    pace        the slots in which contents start; see `pace.py`

Times that several machines compare (heartbeats, starts, due times) are of the database's clock. Tables
that are written for each message have no foreign keys, because these would be checked for each row.
"""

from __future__ import annotations

from campaign.ledger.postgres.pace import PACE

VERSION = 3
NAMESPACE = "campaign"  # the schema of the tables

# Compared and ordered by octets, whatever the database's locale is.
_TEXT = 'text COLLATE "C"'

SCHEMA = f"""
CREATE TABLE settings (
    name {_TEXT} PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE campaigns (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name {_TEXT} NOT NULL UNIQUE,
    file text NOT NULL,
    digest text,
    key text,
    rows bigint,
    created_at bigint NOT NULL,
    state text NOT NULL DEFAULT 'idle' CHECK (state IN ('idle', 'sending', 'paused', 'stopped')),
    why text NOT NULL DEFAULT '',
    generation bigint NOT NULL DEFAULT 0,
    bundle bytea
);

CREATE TABLE layouts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256 bytea NOT NULL UNIQUE,  -- of `columns`, which may be too long for an index
    columns text NOT NULL
);

CREATE TABLE runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign bigint NOT NULL REFERENCES campaigns,
    host text NOT NULL,
    pid bigint NOT NULL,
    process text NOT NULL,
    server text NOT NULL,
    username text NOT NULL,
    started_at bigint NOT NULL,
    heartbeat bigint NOT NULL,
    ended_at bigint,
    recorded bigint NOT NULL DEFAULT 0,
    shared boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
CREATE INDEX runs_unended ON runs (campaign) WHERE ended_at IS NULL;
CREATE INDEX runs_scope ON runs (server, username, heartbeat);

CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign bigint NOT NULL,
    key {_TEXT} NOT NULL,
    identity text,
    number bigint NOT NULL,
    line bigint NOT NULL,
    email text NOT NULL,
    folded {_TEXT} NOT NULL,
    domain {_TEXT} NOT NULL,
    hash {_TEXT} NOT NULL,
    name text NOT NULL,
    layout bigint NOT NULL,
    fields text NOT NULL,
    status {_TEXT} NOT NULL,
    left_as text,
    due_at bigint NOT NULL,
    attempts bigint NOT NULL,
    spared bigint NOT NULL,
    claim bigint,
    run bigint,
    message_id {_TEXT},
    bounce_token {_TEXT},
    reply text NOT NULL,
    settled_at bigint,
    UNIQUE (campaign, key)
) WITH (fillfactor = 80);
CREATE INDEX messages_due ON messages (campaign, due_at, number)
    WHERE status IN ('pending', 'deferred') AND claim IS NULL;
CREATE INDEX messages_claim ON messages (claim) WHERE claim IS NOT NULL;
CREATE INDEX messages_in_flight ON messages (run) WHERE status = 'in_flight';
CREATE INDEX messages_status ON messages (campaign, status, domain, settled_at);
CREATE INDEX messages_folded ON messages (folded);
CREATE INDEX messages_message_id ON messages (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX messages_bounce_token ON messages (bounce_token) WHERE bounce_token IS NOT NULL;

CREATE TABLE copies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message bigint NOT NULL,
    address text NOT NULL,
    folded {_TEXT} NOT NULL,
    domain {_TEXT} NOT NULL,
    hash {_TEXT} NOT NULL,
    status {_TEXT} NOT NULL,
    due_at bigint NOT NULL,
    attempts bigint NOT NULL,
    claim bigint,
    run bigint,
    reply text NOT NULL,
    settled_at bigint,
    UNIQUE (message, folded)
);
CREATE INDEX copies_status ON copies (status, due_at);
CREATE INDEX copies_folded ON copies (folded);
CREATE INDEX copies_claim ON copies (claim) WHERE claim IS NOT NULL;

CREATE TABLE attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint NOT NULL,
    message bigint,
    started_at bigint NOT NULL,
    addresses bigint NOT NULL
);
CREATE INDEX attempts_run ON attempts (run, started_at);
CREATE INDEX attempts_message ON attempts (message);

CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign bigint NOT NULL,
    key {_TEXT} NOT NULL,
    address text NOT NULL,
    kind text NOT NULL,
    time bigint NOT NULL,
    text text NOT NULL,
    run bigint,
    verdict text,
    source text
);
CREATE INDEX events_key ON events (campaign, key);
CREATE INDEX events_verdict ON events (campaign, id) WHERE verdict IS NOT NULL;
CREATE INDEX events_kind ON events (campaign, kind, address) WHERE source IS NOT NULL;
CREATE INDEX events_address ON events (address, kind) WHERE source IS NOT NULL;
CREATE UNIQUE INDEX events_source ON events (campaign, key, source) WHERE source IS NOT NULL;

CREATE TABLE suppressions (
    pattern {_TEXT} NOT NULL,
    campaign bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('released', 'held', 'disputed')),
    reason text NOT NULL,
    added_at bigint NOT NULL,
    run bigint,
    event bigint,
    PRIMARY KEY (pattern, campaign)
);
CREATE INDEX suppressions_held ON suppressions (campaign, event) WHERE state = 'held';

CREATE TABLE blobs (
    sha256 bytea PRIMARY KEY,
    content bytea NOT NULL
);

CREATE TABLE questions (  -- asked of workers before a campaign is sent
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_at bigint NOT NULL,
    needs text NOT NULL
);

CREATE TABLE answers (
    question bigint NOT NULL REFERENCES questions ON DELETE CASCADE,
    host text NOT NULL,
    pid bigint NOT NULL,
    process text NOT NULL,
    missing text NOT NULL,
    PRIMARY KEY (question, host, pid, process)
);

CREATE TABLE bundle_blobs (  -- the blobs that a campaign's bundle needs
    campaign bigint NOT NULL,
    sha256 bytea NOT NULL,
    PRIMARY KEY (campaign, sha256)
);
CREATE INDEX bundle_blobs_sha256 ON bundle_blobs (sha256);

{PACE}"""

NOW = "(extract(epoch FROM clock_timestamp()) * 1000000000)::bigint"
"""The database's clock, UTC ns, in steps of a microsecond."""

UP_SINCE = "(extract(epoch FROM pg_postmaster_start_time()) * 1000000000)::bigint"
"""When the server was started, UTC ns."""


def suppressed(table: str, campaign: str) -> str:
    """Return the SQL condition that a row of `table` is suppressed in a campaign.

    Suppressions held for another campaign do not count.
    """
    return (
        "EXISTS (SELECT 1 FROM suppressions s"
        f" WHERE s.pattern IN ({table}.folded, {table}.domain, {table}.hash)"
        f" AND (s.state = 'released' OR s.campaign = {campaign}))"
    )
