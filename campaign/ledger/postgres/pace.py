"""The tables and the SQL function for booking slots; the proof is in `ledger/slots.py`.

`pace` has a row for each account; its lock serialises bookings. `pace_slots` holds the ends of the
account's last `kept` slots as a ring: slot k is at k mod kept. One ring serves all windows, also those of
campaigns with other rates: for a window of N, slot k−N is looked up.

A booking is committed without waiting for the disk, so a crash of the server may lose the latest ones.
Each start that used one has a durable intent. So after the server was started, or if its clock was set
back, or if a wider or longer window is asked for than is kept, nothing is booked until every slot that
may still be in use has ended; then the ring is rebuilt from `attempts`.
"""

from __future__ import annotations

from campaign.ledger.slots import HORIZON
from campaign.model import SECOND

QUIET = HORIZON + 3 * SECOND
"""How long nothing is booked in that case: slots are booked up to HORIZON ahead, and end after a guard."""

_LATE = 2 * SECOND
"""How much later than its attempt says a content may start: two clocks, a slow disk, and the guard."""

_BEATS = 120 * SECOND
"""How long after a heartbeat of its run a content may start, with a margin."""

BOOK = f"""
-- Book a slot for `addresses` addresses. `booked` tells whether that was possible; if not, `at` is when it
-- may be. If `taking` is false, nothing is booked. `at` and `present` are UTC ns.
CREATE OR REPLACE FUNCTION pace_book(
    of_server text, of_username text, counts bigint[], periods bigint[], spacing bigint,
    addresses bigint, guard bigint, taking boolean, OUT at bigint, OUT booked boolean, OUT present bigint
) LANGUAGE plpgsql AS $$
DECLARE
    account pace;
    up bigint := (extract(epoch FROM pg_postmaster_start_time()) * 1000000000)::bigint;
    widest bigint := (SELECT max(count) FROM unnest(counts) AS count);
    longest bigint := (SELECT max(period) FROM unnest(periods) AS period);
    known bigint;
    ended bigint;
    fresh boolean := false;  -- this account is new: only this commit waits for the disk
BEGIN
    SELECT * INTO account FROM pace WHERE server = of_server AND username = of_username FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO pace (server, username) VALUES (of_server, of_username) ON CONFLICT DO NOTHING;
        fresh := FOUND;
        SELECT * INTO account FROM pace WHERE server = of_server AND username = of_username FOR UPDATE;
    END IF;
    IF NOT fresh THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    present := pace_now();
    booked := false;
    IF account.booted_at != 0 AND (account.last > present + {HORIZON + SECOND} OR widest > account.kept
            OR longest > account.reach) THEN
        -- The first booking afterwards may be for a narrower window; it keeps what this one needs.
        UPDATE pace SET booted_at = 0, quiet_until = present + {QUIET}, kept = greatest(widest, account.kept),
            reach = greatest(longest, account.reach), last = 0 WHERE id = account.id RETURNING * INTO account;
    END IF;
    IF account.booted_at != up THEN
        -- A standby that has taken over was started long before that.
        at := least(greatest(greatest(up, account.last) + {QUIET}, account.quiet_until), present + {QUIET});
        IF at > present AND NOT fresh THEN
            RETURN;
        END IF;
        account := pace_rebuild(account, greatest(widest, account.kept), greatest(longest, account.reach));
        UPDATE pace SET places = account.places, kept = account.kept, reach = account.reach,
            last = account.last, booted_at = account.booted_at WHERE id = account.id;
        present := pace_now();
    END IF;
    at := greatest(present, account.last + spacing);
    known := greatest(0, account.places - account.kept);
    FOR w IN 1 .. cardinality(counts) LOOP
        SELECT max(ends) INTO ended FROM pace_slots WHERE scope = account.id AND i = ANY (ARRAY(
            SELECT k % account.kept FROM generate_series(greatest(known, account.places - counts[w]),
                account.places + addresses - 1 - counts[w]) AS k));
        at := greatest(at, ended + periods[w]);
    END LOOP;
    booked := taking AND at <= present + {HORIZON};
    IF booked THEN
        INSERT INTO pace_slots (scope, i, ends)
            SELECT account.id, k % account.kept, at + guard
            FROM generate_series(account.places, account.places + addresses - 1) AS k
            ON CONFLICT (scope, i) DO UPDATE SET ends = excluded.ends;
        UPDATE pace SET places = account.places + addresses, last = at WHERE id = account.id;
    END IF;
    present := pace_now();
END $$;
"""

PACE = f"""
CREATE TABLE pace (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server text NOT NULL,
    username text NOT NULL,
    places bigint NOT NULL DEFAULT 0,       -- slots numbered so far; the next has this number
    kept bigint NOT NULL DEFAULT 0,
    reach bigint NOT NULL DEFAULT 0,        -- the longest period for which the slots are known, ns
    last bigint NOT NULL DEFAULT 0,         -- the start of the last slot
    quiet_until bigint NOT NULL DEFAULT 0,
    booted_at bigint NOT NULL DEFAULT 0,    -- when the server was started that booked these; 0: rebuild
    UNIQUE (server, username)
) WITH (fillfactor = 50);

CREATE TABLE pace_slots (
    scope bigint NOT NULL REFERENCES pace,
    i bigint NOT NULL,
    ends bigint NOT NULL,
    PRIMARY KEY (scope, i)
) WITH (fillfactor = 50);

CREATE FUNCTION pace_now() RETURNS bigint LANGUAGE sql AS
'SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint';

-- Rebuild the ring of an account from its attempts.
CREATE FUNCTION pace_rebuild(account pace, wanted bigint, longest bigint) RETURNS pace
LANGUAGE plpgsql AS $$
DECLARE
    present bigint := pace_now();
BEGIN
    DELETE FROM pace_slots WHERE scope = account.id;
    INSERT INTO pace_slots (scope, i, ends)
        SELECT account.id, row_number() OVER (ORDER BY started) - 1, started + {_LATE}
        FROM (
            SELECT least(a.started_at, present) AS started
            FROM runs r JOIN attempts a ON a.run = r.id CROSS JOIN generate_series(1, a.addresses)
            WHERE r.server = account.server AND r.username = account.username
                AND r.heartbeat > present - longest - {_BEATS} AND a.started_at > present - longest - {_LATE}
            ORDER BY a.started_at DESC LIMIT wanted
        ) latest;
    GET DIAGNOSTICS account.places = ROW_COUNT;
    account.kept := wanted;
    account.reach := longest;
    account.last := 0;
    account.booted_at := (extract(epoch FROM pg_postmaster_start_time()) * 1000000000)::bigint;
    RETURN account;
END $$;

{BOOK}"""
