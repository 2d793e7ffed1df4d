"""The SQL function that records results and intents, one call for each transaction.

It is called for each message; separate statements took psycopg and the server twice as long. A single
statement would see all rows as they were when it began. In a function each statement sees what was
committed before it, including by a process that ended this run while holding its lock.

Results, intents and copies are passed as JSON, null for none: psycopg takes longer for arrays. A row
becomes `in_flight` only if its run has not ended, its campaign is being sent (`_ALIVE`), this run has
claimed it, and it is not suppressed. A result settles its own attempt even if the run was ended
meanwhile: the row is `in_doubt` by then, but still names its run.
"""

from __future__ import annotations

from campaign.ledger.postgres.schema import suppressed

_ALIVE = """EXISTS (SELECT 1 FROM runs r JOIN campaigns o ON o.id = r.campaign
            WHERE r.id = of_run AND r.ended_at IS NULL AND (o.state = 'sending' OR NOT r.shared))"""

# A decision that a person made meanwhile stands, unless the server has accepted the message. PostgreSQL
# assumes a hundred rows in JSON, and would scan the table for that many: therefore ANY, here and below.
_SETTLE = """
WITH r AS MATERIALIZED (
    SELECT r.*, (SELECT id FROM messages WHERE campaign = of_campaign AND key = r.key) AS message
    FROM json_to_recordset(results) AS r(key text, own boolean, told boolean, address text, status text,
        reply text, due bigint, charged bigint, spared bigint, settled bigint, verdict text)
), settled AS (
    UPDATE messages m SET status = r.status, reply = r.reply, due_at = r.due,
        attempts = m.attempts + r.charged, spared = m.spared + r.spared, settled_at = r.settled,
        claim = nullif(m.claim, of_run)
    FROM r WHERE r.own AND m.id = r.message AND m.id = ANY (ARRAY(SELECT message FROM r))
        AND (m.status IN ('pending', 'deferred')
            OR m.run = of_run AND (m.status IN ('in_flight', 'in_doubt') OR r.status = 'accepted'))
), noted AS (
    INSERT INTO events (campaign, key, address, kind, time, text, run, verdict)
    SELECT of_campaign, key, address, status, settled, reply, of_run, verdict FROM r
    WHERE told AND message IS NOT NULL
)
SELECT array_agg(key) INTO missing FROM r WHERE message IS NULL
"""

_OUTCOMES = """
json_to_recordset(outcomes) AS r(key text, address text, folded text, domain text, hash text, status text,
    reply text, due bigint, charged bigint, settled bigint)
JOIN messages m ON m.campaign = of_campaign AND m.key = r.key
"""
_SETTLE_COPIES = f"""
UPDATE copies c SET status = r.status, reply = r.reply, due_at = r.due, attempts = c.attempts + r.charged,
    settled_at = r.settled, claim = nullif(c.claim, of_run)
FROM {_OUTCOMES} WHERE c.message = m.id AND c.folded = r.folded
    AND (c.status IN ('pending', 'deferred', 'in_flight')
        OR c.run = of_run AND (c.status = 'in_doubt' OR r.status = 'accepted'))
"""
# If nothing was said about a copy, it is just no longer in flight.
_ADD_COPIES = f"""
INSERT INTO copies (message, run, status, reply, due_at, attempts, folded, settled_at, address, domain, hash)
SELECT m.id, of_run, r.status, r.reply, r.due, r.charged, r.folded, r.settled, r.address, r.domain, r.hash
FROM {_OUTCOMES} WHERE r.status != 'pending' ON CONFLICT (message, folded) DO NOTHING
"""

_HOLD = """
INSERT INTO suppressions (pattern, campaign, state, reason, added_at, run, event)
SELECT r.pattern, of_campaign, 'held', 'refused: ' || r.reply, r.time, of_run,
    (SELECT max(id) FROM events WHERE campaign = of_campaign AND key = r.key AND verdict IS NOT NULL)
FROM json_to_recordset(dead) AS r(key text, pattern text, reply text, time bigint)
WHERE EXISTS (SELECT 1 FROM messages m WHERE m.campaign = of_campaign AND m.key = r.key) AND NOT EXISTS
    (SELECT 1 FROM suppressions s WHERE s.pattern = r.pattern AND s.state = 'released')
ON CONFLICT (pattern, campaign) DO NOTHING
"""
_RELEASE_AGED = """
UPDATE suppressions SET state = 'released' WHERE campaign = of_campaign AND state = 'held'
    AND event < (SELECT id FROM events WHERE campaign = of_campaign AND verdict IS NOT NULL
                 ORDER BY id DESC LIMIT 1 OFFSET beyond)
"""

_INTEND_ROWS = f"""
WITH i AS MATERIALIZED (
    SELECT * FROM json_to_recordset(intents)
        AS i(place bigint, key text, message_id text, token text, started bigint, addresses bigint)
), held AS (
    UPDATE messages m SET status = 'in_flight', run = of_run, claim = NULL, message_id = i.message_id,
        bounce_token = i.token
    FROM i WHERE m.campaign = of_campaign AND m.key = i.key AND m.key = ANY (ARRAY(SELECT key FROM i))
        AND m.status IN ('pending', 'deferred') AND m.claim = of_run
        AND NOT {suppressed("m", "of_campaign")} AND {_ALIVE}
    RETURNING m.id, i.place, i.started, i.addresses
), noted AS (
    INSERT INTO attempts (run, message, started_at, addresses)
    SELECT of_run, id, started, addresses FROM held
)
SELECT array_agg(place) INTO granted FROM held
"""
_INTEND_BESIDE = """
INSERT INTO copies (message, address, folded, domain, hash, status, due_at, attempts, run, reply)
SELECT m.id, c.address, c.folded, c.domain, c.hash, 'in_flight', c.started, 0, of_run, ''
FROM json_to_recordset(beside)
    AS c(place bigint, key text, started bigint, address text, folded text, domain text, hash text)
JOIN messages m ON m.campaign = of_campaign AND m.key = c.key
WHERE c.place = ANY (granted)
ON CONFLICT (message, folded) DO UPDATE SET status = 'in_flight', run = excluded.run, claim = NULL
"""
_INTEND_COPIES = f"""
WITH held AS (
    UPDATE copies c SET status = 'in_flight', run = of_run, claim = NULL
    FROM json_to_recordset(further)
        AS i(place bigint, key text, folded text, started bigint, addresses bigint)
    JOIN messages m ON m.campaign = of_campaign AND m.key = i.key AND m.status = 'accepted'
    WHERE c.message = m.id AND c.folded = i.folded AND c.status IN ('pending', 'deferred')
        AND c.claim = of_run AND NOT {suppressed("c", "of_campaign")} AND {_ALIVE}
    RETURNING c.message, i.place, i.started, i.addresses
), noted AS (
    INSERT INTO attempts (run, message, started_at, addresses)
    SELECT of_run, message, started, addresses FROM held
)
SELECT granted || array_agg(place) INTO granted FROM held
"""

# Results alone need not wait for the disk; intents must.
RECORD = f"""
CREATE FUNCTION record_messages(
    of_campaign bigint, of_run bigint, nth bigint,
    results json,       -- for each address: the change to its row, and its event
    outcomes json,      -- the changes to copies
    dead json,          -- addresses to suppress until the results around them have been judged
    intents json,       -- intents of rows
    beside json,        -- the copies in their envelopes
    further json,       -- intents of copies
    beyond bigint,      -- release suppressions that have had more than this many later results
    OUT alive boolean,      -- the run has not ended
    OUT missing text[],     -- keys of results whose row does not exist
    OUT holds bigint,       -- how many `dead` were suppressed
    OUT releases bigint,
    OUT granted bigint[]    -- the places of intents that hold
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF intents IS NULL AND further IS NULL THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    UPDATE runs SET recorded = nth WHERE id = of_run RETURNING ended_at IS NULL INTO alive;
    IF results IS NOT NULL THEN
        {_SETTLE};
    END IF;
    IF outcomes IS NOT NULL THEN
        {_SETTLE_COPIES};
        {_ADD_COPIES};
    END IF;
    holds := 0;
    IF dead IS NOT NULL THEN
        {_HOLD};
        GET DIAGNOSTICS holds = ROW_COUNT;
    END IF;
    IF intents IS NOT NULL THEN
        {_INTEND_ROWS};
    END IF;
    IF beside IS NOT NULL THEN
        {_INTEND_BESIDE};
    END IF;
    IF further IS NOT NULL THEN
        {_INTEND_COPIES};
    END IF;
    releases := 0;
    IF beyond IS NOT NULL THEN
        {_RELEASE_AGED};
        GET DIAGNOSTICS releases = ROW_COUNT;
    END IF;
END $$;
"""
