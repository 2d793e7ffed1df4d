
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE SCHEMA campaign;

CREATE FUNCTION campaign.pace_book(of_server text, of_username text, counts bigint[], periods bigint[], spacing bigint, addresses bigint, guard bigint, taking boolean, OUT at bigint, OUT booked boolean, OUT present bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    account pace;
    up bigint := (extract(epoch FROM pg_postmaster_start_time()) * 1000000000)::bigint;
    widest bigint := (SELECT max(count) FROM unnest(counts) AS count);
    longest bigint := (SELECT max(period) FROM unnest(periods) AS period);
    known bigint;
    ended bigint;
    fresh boolean := false;  -- nobody has booked here before: this commit alone waits for the disk
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
    IF account.booted_at != 0 AND (account.last > present + 6000000000 OR widest > account.kept
            OR longest > account.reach) THEN
        UPDATE pace SET booted_at = 0, quiet_until = present + 8000000000 WHERE id = account.id
            RETURNING * INTO account;
    END IF;
    IF account.booted_at != up THEN
        at := least(greatest(up + 8000000000, account.quiet_until), present + 8000000000);
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
    booked := taking AND at <= present + 5000000000;
    IF booked THEN
        INSERT INTO pace_slots (scope, i, ends)
            SELECT account.id, k % account.kept, at + guard
            FROM generate_series(account.places, account.places + addresses - 1) AS k
            ON CONFLICT (scope, i) DO UPDATE SET ends = excluded.ends;
        UPDATE pace SET places = account.places + addresses, last = at WHERE id = account.id;
    END IF;
    present := pace_now();
END $$;

CREATE FUNCTION campaign.pace_now() RETURNS bigint
    LANGUAGE sql
    AS $$SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint$$;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE campaign.pace (
    id bigint NOT NULL,
    server text NOT NULL,
    username text NOT NULL,
    places bigint DEFAULT 0 NOT NULL,
    kept bigint DEFAULT 0 NOT NULL,
    reach bigint DEFAULT 0 NOT NULL,
    last bigint DEFAULT 0 NOT NULL,
    quiet_until bigint DEFAULT 0 NOT NULL,
    booted_at bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

CREATE FUNCTION campaign.pace_rebuild(account campaign.pace, wanted bigint, longest bigint) RETURNS campaign.pace
    LANGUAGE plpgsql
    AS $$
DECLARE
    present bigint := pace_now();
BEGIN
    DELETE FROM pace_slots WHERE scope = account.id;
    INSERT INTO pace_slots (scope, i, ends)
        SELECT account.id, row_number() OVER (ORDER BY started) - 1, started + 2000000000
        FROM (
            SELECT least(a.started_at, present) AS started
            FROM runs r JOIN attempts a ON a.run = r.id CROSS JOIN generate_series(1, a.addresses)
            WHERE r.server = account.server AND r.username = account.username
                AND r.heartbeat > present - longest - 120000000000 AND a.started_at > present - longest - 2000000000
            ORDER BY a.started_at DESC LIMIT wanted
        ) latest;
    GET DIAGNOSTICS account.places = ROW_COUNT;
    account.kept := wanted;
    account.reach := longest;
    account.last := 0;
    account.booted_at := (extract(epoch FROM pg_postmaster_start_time()) * 1000000000)::bigint;
    RETURN account;
END $$;

CREATE TABLE campaign.answers (
    question bigint NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    process text NOT NULL,
    missing text NOT NULL
);

CREATE TABLE campaign.attempts (
    id bigint NOT NULL,
    run bigint NOT NULL,
    message bigint,
    started_at bigint NOT NULL,
    addresses bigint NOT NULL
);

ALTER TABLE campaign.attempts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaign.attempts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE campaign.blobs (
    sha256 bytea NOT NULL,
    content bytea NOT NULL
);

CREATE TABLE campaign.bundle_blobs (
    campaign bigint NOT NULL,
    sha256 bytea NOT NULL
);

CREATE TABLE campaign.campaigns (
    id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    file text NOT NULL,
    digest text,
    key text,
    rows bigint,
    created_at bigint NOT NULL,
    state text DEFAULT 'idle'::text NOT NULL,
    why text DEFAULT ''::text NOT NULL,
    generation bigint DEFAULT 0 NOT NULL,
    bundle bytea,
    CONSTRAINT campaigns_state_check CHECK ((state = ANY (ARRAY['idle'::text, 'sending'::text, 'paused'::text, 'stopped'::text])))
);

ALTER TABLE campaign.campaigns ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaign.campaigns_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE campaign.copies (
    id bigint NOT NULL,
    message bigint NOT NULL,
    address text NOT NULL,
    folded text NOT NULL COLLATE pg_catalog."C",
    domain text NOT NULL COLLATE pg_catalog."C",
    hash text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    due_at bigint NOT NULL,
    attempts bigint NOT NULL,
    claim bigint,
    run bigint,
    reply text NOT NULL,
    settled_at bigint
);

ALTER TABLE campaign.copies ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaign.copies_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE campaign.events (
    id bigint NOT NULL,
    campaign bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    address text NOT NULL,
    kind text NOT NULL,
    "time" bigint NOT NULL,
    text text NOT NULL,
    run bigint,
    verdict text,
    source text
);

ALTER TABLE campaign.events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaign.events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE campaign.layouts (
    id bigint NOT NULL,
    sha256 bytea NOT NULL,
    columns text NOT NULL
);

ALTER TABLE campaign.layouts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaign.layouts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE campaign.messages (
    id bigint NOT NULL,
    campaign bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    identity text,
    number bigint NOT NULL,
    line bigint NOT NULL,
    email text NOT NULL,
    folded text NOT NULL COLLATE pg_catalog."C",
    domain text NOT NULL COLLATE pg_catalog."C",
    hash text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    layout bigint NOT NULL,
    fields text NOT NULL,
    status text NOT NULL COLLATE pg_catalog."C",
    left_as text,
    due_at bigint NOT NULL,
    attempts bigint NOT NULL,
    spared bigint NOT NULL,
    claim bigint,
    run bigint,
    message_id text COLLATE pg_catalog."C",
    bounce_token text COLLATE pg_catalog."C",
    reply text NOT NULL,
    settled_at bigint
)
WITH (fillfactor='80');

ALTER TABLE campaign.messages ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaign.messages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE campaign.pace ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaign.pace_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE campaign.pace_slots (
    scope bigint NOT NULL,
    i bigint NOT NULL,
    ends bigint NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE campaign.questions (
    id bigint NOT NULL,
    asked_at bigint NOT NULL,
    needs text NOT NULL
);

ALTER TABLE campaign.questions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaign.questions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE campaign.runs (
    id bigint NOT NULL,
    campaign bigint NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    process text NOT NULL,
    server text NOT NULL,
    username text NOT NULL,
    started_at bigint NOT NULL,
    heartbeat bigint NOT NULL,
    ended_at bigint,
    recorded bigint DEFAULT 0 NOT NULL,
    shared boolean DEFAULT false NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE campaign.runs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME campaign.runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE campaign.settings (
    name text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL
);

CREATE TABLE campaign.suppressions (
    pattern text NOT NULL COLLATE pg_catalog."C",
    campaign bigint NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    added_at bigint NOT NULL,
    run bigint,
    event bigint,
    CONSTRAINT suppressions_state_check CHECK ((state = ANY (ARRAY['released'::text, 'held'::text, 'disputed'::text])))
);

INSERT INTO campaign.attempts OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, 1770000000000000000, 1);
INSERT INTO campaign.attempts OVERRIDING SYSTEM VALUE VALUES (2, 1, 2, 1770000000000000000, 1);
INSERT INTO campaign.attempts OVERRIDING SYSTEM VALUE VALUES (3, 1, 3, 1770000000000000000, 1);
INSERT INTO campaign.attempts OVERRIDING SYSTEM VALUE VALUES (4, 1, 4, 1770000000000000000, 1);

INSERT INTO campaign.campaigns OVERRIDING SYSTEM VALUE VALUES (1, 'spring', '', NULL, NULL, 6, 1770000000000000000, 'idle', '', 0, NULL);

INSERT INTO campaign.events OVERRIDING SYSTEM VALUE VALUES (1, 1, 'accepted@example.com', 'accepted@example.com', 'accepted', 1770000000000000000, '250 2.0.0 Ok', 1, 'accepted', NULL);
INSERT INTO campaign.events OVERRIDING SYSTEM VALUE VALUES (2, 1, 'refused@example.com', 'refused@example.com', 'refused', 1770000000000000000, '250 2.0.0 Ok', 1, 'refused', NULL);
INSERT INTO campaign.events OVERRIDING SYSTEM VALUE VALUES (3, 1, 'deferred@example.com', 'deferred@example.com', 'deferred', 1770000000000000000, '250 2.0.0 Ok', 1, NULL, NULL);

INSERT INTO campaign.layouts OVERRIDING SYSTEM VALUE VALUES (1, '\xd78af748ab51a402a5ab2f53eabe0faa0547fd9160025ae156d274a611c85bf1', '["email", "city"]');

INSERT INTO campaign.messages OVERRIDING SYSTEM VALUE VALUES (5, 1, 'pending@example.com', NULL, 5, 6, 'pending@example.com', 'pending@example.com', '@example.com', '#84efffef1ff7631060441a4352a3f0bb4898a8395a03d72dbf131ffc86171610', '', 1, '["pending@example.com","Oslo"]', 'pending', NULL, 0, 0, 0, 1, NULL, NULL, NULL, '', NULL);
INSERT INTO campaign.messages OVERRIDING SYSTEM VALUE VALUES (6, 1, 'beside@example.com', NULL, 6, 7, 'beside@example.com', 'beside@example.com', '@example.com', '#74d88deb9af93a404226ab0c108d4d92e95fe1810463aec99eab6dff29839d34', '', 1, '["beside@example.com","Oslo"]', 'pending', NULL, 0, 0, 0, 1, NULL, NULL, NULL, '', NULL);
INSERT INTO campaign.messages OVERRIDING SYSTEM VALUE VALUES (4, 1, 'flying@example.com', NULL, 4, 5, 'flying@example.com', 'flying@example.com', '@example.com', '#68a658713c87bfe7821056b26a8eb3d99730bac5f3bf4635cc21aca9f535ecc9', '', 1, '["flying@example.com","Oslo"]', 'in_flight', NULL, 0, 0, 0, NULL, 1, '<0b2d45aeb38191b20425@example.com>', NULL, '', NULL);
INSERT INTO campaign.messages OVERRIDING SYSTEM VALUE VALUES (1, 1, 'accepted@example.com', NULL, 1, 2, 'accepted@example.com', 'accepted@example.com', '@example.com', '#7629498c0d7b95a8d628cda5844db73b1df5f7bd2f814b9862e7e4c553e04cd9', '', 1, '["accepted@example.com","Oslo"]', 'accepted', NULL, 1770000000000000000, 1, 0, NULL, 1, '<081f61ffa747d7302b47@example.com>', NULL, '250 2.0.0 Ok', 1770000000000000000);
INSERT INTO campaign.messages OVERRIDING SYSTEM VALUE VALUES (2, 1, 'refused@example.com', NULL, 2, 3, 'refused@example.com', 'refused@example.com', '@example.com', '#4ac630e94c709b013a5e3da3490df339aeeadd11c695ba1001c5767bcb19e5f3', '', 1, '["refused@example.com","Oslo"]', 'refused', NULL, 1770000000000000000, 1, 0, NULL, 1, '<5b5c1225eb2e32326d4f@example.com>', NULL, '250 2.0.0 Ok', 1770000000000000000);
INSERT INTO campaign.messages OVERRIDING SYSTEM VALUE VALUES (3, 1, 'deferred@example.com', NULL, 3, 4, 'deferred@example.com', 'deferred@example.com', '@example.com', '#ec0e818c9ca969cf091283801fdc3d2fa36cbfd1402f6be0c945ce8ecdba301c', '', 1, '["deferred@example.com","Oslo"]', 'deferred', NULL, 1770000000000000000, 1, 0, NULL, 1, '<65b6646e693b41e370b1@example.com>', NULL, '250 2.0.0 Ok', 1770000000000000000);

INSERT INTO campaign.runs OVERRIDING SYSTEM VALUE VALUES (1, 1, 'elsewhere', 10085, 'boot pid:[1] 1', 'mail.example.com', 'news', 1770000000000000000, 1770000000000000000, NULL, 2, false);

INSERT INTO campaign.settings VALUES ('version', '1');
INSERT INTO campaign.settings VALUES ('secret', '0b76941adb7f06a2e0669790fec065c8003c0feb2a467a5a36f731df40bbc9c8');

INSERT INTO campaign.suppressions VALUES ('nobody@example.net', 0, 'released', 'asked', 1770000000000000000, NULL, NULL);

SELECT pg_catalog.setval('campaign.attempts_id_seq', 4, true);

SELECT pg_catalog.setval('campaign.campaigns_id_seq', 1, true);

SELECT pg_catalog.setval('campaign.copies_id_seq', 1, false);

SELECT pg_catalog.setval('campaign.events_id_seq', 3, true);

SELECT pg_catalog.setval('campaign.layouts_id_seq', 1, true);

SELECT pg_catalog.setval('campaign.messages_id_seq', 6, true);

SELECT pg_catalog.setval('campaign.pace_id_seq', 1, false);

SELECT pg_catalog.setval('campaign.questions_id_seq', 1, false);

SELECT pg_catalog.setval('campaign.runs_id_seq', 1, true);

ALTER TABLE ONLY campaign.answers
    ADD CONSTRAINT answers_pkey PRIMARY KEY (question, host, pid, process);

ALTER TABLE ONLY campaign.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaign.blobs
    ADD CONSTRAINT blobs_pkey PRIMARY KEY (sha256);

ALTER TABLE ONLY campaign.bundle_blobs
    ADD CONSTRAINT bundle_blobs_pkey PRIMARY KEY (campaign, sha256);

ALTER TABLE ONLY campaign.campaigns
    ADD CONSTRAINT campaigns_name_key UNIQUE (name);

ALTER TABLE ONLY campaign.campaigns
    ADD CONSTRAINT campaigns_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaign.copies
    ADD CONSTRAINT copies_message_folded_key UNIQUE (message, folded);

ALTER TABLE ONLY campaign.copies
    ADD CONSTRAINT copies_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaign.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaign.layouts
    ADD CONSTRAINT layouts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaign.layouts
    ADD CONSTRAINT layouts_sha256_key UNIQUE (sha256);

ALTER TABLE ONLY campaign.messages
    ADD CONSTRAINT messages_campaign_key_key UNIQUE (campaign, key);

ALTER TABLE ONLY campaign.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaign.pace
    ADD CONSTRAINT pace_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaign.pace
    ADD CONSTRAINT pace_server_username_key UNIQUE (server, username);

ALTER TABLE ONLY campaign.pace_slots
    ADD CONSTRAINT pace_slots_pkey PRIMARY KEY (scope, i);

ALTER TABLE ONLY campaign.questions
    ADD CONSTRAINT questions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaign.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY campaign.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (name);

ALTER TABLE ONLY campaign.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (pattern, campaign);

CREATE INDEX attempts_message ON campaign.attempts USING btree (message);

CREATE INDEX attempts_run ON campaign.attempts USING btree (run, started_at);

CREATE INDEX bundle_blobs_sha256 ON campaign.bundle_blobs USING btree (sha256);

CREATE INDEX copies_claim ON campaign.copies USING btree (claim) WHERE (claim IS NOT NULL);

CREATE INDEX copies_folded ON campaign.copies USING btree (folded);

CREATE INDEX copies_status ON campaign.copies USING btree (status, due_at);

CREATE INDEX events_address ON campaign.events USING btree (address, kind) WHERE (source IS NOT NULL);

CREATE INDEX events_key ON campaign.events USING btree (campaign, key);

CREATE INDEX events_kind ON campaign.events USING btree (campaign, kind, address) WHERE (source IS NOT NULL);

CREATE UNIQUE INDEX events_source ON campaign.events USING btree (campaign, key, source) WHERE (source IS NOT NULL);

CREATE INDEX events_verdict ON campaign.events USING btree (campaign, id) WHERE (verdict IS NOT NULL);

CREATE INDEX messages_bounce_token ON campaign.messages USING btree (bounce_token) WHERE (bounce_token IS NOT NULL);

CREATE INDEX messages_claim ON campaign.messages USING btree (claim) WHERE (claim IS NOT NULL);

CREATE INDEX messages_due ON campaign.messages USING btree (campaign, due_at, number) WHERE ((status = ANY (ARRAY['pending'::text, 'deferred'::text])) AND (claim IS NULL));

CREATE INDEX messages_folded ON campaign.messages USING btree (folded);

CREATE INDEX messages_in_flight ON campaign.messages USING btree (run) WHERE (status = 'in_flight'::text);

CREATE INDEX messages_message_id ON campaign.messages USING btree (message_id) WHERE (message_id IS NOT NULL);

CREATE INDEX messages_status ON campaign.messages USING btree (campaign, status, domain, settled_at);

CREATE INDEX runs_scope ON campaign.runs USING btree (server, username, heartbeat);

CREATE INDEX runs_unended ON campaign.runs USING btree (campaign) WHERE (ended_at IS NULL);

CREATE INDEX suppressions_held ON campaign.suppressions USING btree (campaign, event) WHERE (state = 'held'::text);

ALTER TABLE ONLY campaign.answers
    ADD CONSTRAINT answers_question_fkey FOREIGN KEY (question) REFERENCES campaign.questions(id) ON DELETE CASCADE;

ALTER TABLE ONLY campaign.pace_slots
    ADD CONSTRAINT pace_slots_scope_fkey FOREIGN KEY (scope) REFERENCES campaign.pace(id);

ALTER TABLE ONLY campaign.runs
    ADD CONSTRAINT runs_campaign_fkey FOREIGN KEY (campaign) REFERENCES campaign.campaigns(id);

