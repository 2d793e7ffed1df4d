PRAGMA journal_mode = WAL;
PRAGMA application_id = 1128353104;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE attempts (      -- a content was about to leave
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    message INTEGER,         -- none for a test message
    started_at INTEGER NOT NULL,
    addresses INTEGER NOT NULL
) STRICT;
INSERT INTO "attempts" VALUES(1,1,1,1770000002000000000,1);
INSERT INTO "attempts" VALUES(2,1,2,1770000002000000000,1);
INSERT INTO "attempts" VALUES(3,1,16,1770000002000000000,1);
INSERT INTO "attempts" VALUES(4,1,3,1770000002000000000,1);
INSERT INTO "attempts" VALUES(5,1,4,1770000002000000000,1);
INSERT INTO "attempts" VALUES(6,1,10,1770000002000000000,1);
INSERT INTO "attempts" VALUES(7,1,11,1770000002000000000,1);
INSERT INTO "attempts" VALUES(8,1,12,1770000002000000000,3);
INSERT INTO "attempts" VALUES(9,1,13,1770000002000000000,1);
INSERT INTO "attempts" VALUES(10,1,14,1770000002000000000,1);
INSERT INTO "attempts" VALUES(11,1,18,1770000002000000000,1);
INSERT INTO "attempts" VALUES(12,1,18,1770000002000000000,1);
INSERT INTO "attempts" VALUES(13,1,NULL,1770000004000000000,1);
INSERT INTO "attempts" VALUES(14,3,5,1770000011000000000,1);
CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL,
    digest TEXT,             -- of the content that was accepted last
    key TEXT,                -- JSON list: the columns that tell its rows apart
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO "campaigns" VALUES(1,'spring','/srv/news/spring.yaml','d1','["the address"]',1795848615757549340);
INSERT INTO "campaigns" VALUES(2,'invoices','/srv/news/invoices.yaml',NULL,'["`invoice`"]',1795848615902268152);
CREATE TABLE events (        -- what was said of an address
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL,
    key TEXT NOT NULL,
    address TEXT NOT NULL,
    kind TEXT NOT NULL,
    time INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
INSERT INTO "events" VALUES(1,1,'accepted@example.com','accepted@example.com','accepted',1770000003000000000,'250 2.0.0 Ok');
INSERT INTO "events" VALUES(2,1,'refused@example.com','Refused@example.com','refused',1770000003000000000,'550 5.7.1 not wanted');
INSERT INTO "events" VALUES(3,1,'refused-left@example.com','refused-left@example.com','refused',1770000003000000000,'550 5.7.1 not wanted');
INSERT INTO "events" VALUES(4,1,'deferred@example.com','deferred@example.com','deferred',1770000003000000000,'450 4.2.1 later');
INSERT INTO "events" VALUES(5,1,'doubt@example.com','doubt@example.com','in_doubt',1770000003000000000,'the connection was lost before the answer');
INSERT INTO "events" VALUES(7,1,'strasse@example.com','straße@example.com','accepted',1770000003000000000,'250 2.0.0 Ok');
INSERT INTO "events" VALUES(8,1,'copies@example.com','copies@example.com','accepted',1770000003000000000,'250 2.0.0 Ok');
INSERT INTO "events" VALUES(9,1,'copies@example.com','cc@example.org','deferred',1770000003000000000,'450 4.2.0 later');
INSERT INTO "events" VALUES(10,1,'copies@example.com','bcc@example.org','refused',1770000003000000000,'550 5.1.1 unknown');
INSERT INTO "events" VALUES(11,1,'dead@example.com','dead@example.com','refused',1770000003000000000,'550 5.1.1 no such user');
INSERT INTO "events" VALUES(12,1,'cased.local@example.com','cased.Local@example.com','accepted',1770000003000000000,'250 2.0.0 Ok');
INSERT INTO "events" VALUES(13,1,'again@example.com','again@example.com','deferred',1770000003000000000,'450 4.2.1 later');
INSERT INTO "events" VALUES(14,1,'again@example.com','again@example.com','accepted',1770000003000000000,'250 2.0.0 Ok');
CREATE TABLE layouts (       -- the columns of a list, which `messages.fields` are the cells of
    id INTEGER PRIMARY KEY,
    columns TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO "layouts" VALUES(1,'["email", "city"]');
INSERT INTO "layouts" VALUES(2,'["email", "city", "plan"]');
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
INSERT INTO "messages" VALUES(1,1,'accepted@example.com',1,2,'accepted@example.com','Anna',1,'["accepted@example.com","Oslo"]','accepted',1770000003000000000,1,1,'<081f61ffa747d7302b47@example.com>','250 2.0.0 Ok',1770000003000000000);
INSERT INTO "messages" VALUES(2,1,'refused@example.com',2,3,'Refused@example.com','',2,'["Refused@example.com","Oslo","pro"]','refused',1770000008000000000,1,1,'<5b5c1225eb2e32326d4f@example.com>','550 5.7.1 not wanted',1770000003000000000);
INSERT INTO "messages" VALUES(3,1,'deferred@example.com',3,4,'deferred@example.com','',2,'["deferred@example.com","Oslo","pro"]','deferred',1770000600000000000,1,1,'<65b6646e693b41e370b1@example.com>','450 4.2.1 later',1770000003000000000);
INSERT INTO "messages" VALUES(4,1,'doubt@example.com',4,5,'doubt@example.com','',1,'["doubt@example.com","Oslo"]','in_doubt',1770000003000000000,0,1,'<2dc238818b9775eb1693@example.com>','the connection was lost before the answer',1770000003000000000);
INSERT INTO "messages" VALUES(5,1,'crashed@example.com',5,6,'crashed@example.com','',2,'["crashed@example.com","Oslo","pro"]','in_flight',1770000000000000000,0,3,'<7c5cc3e526003a633a5d@example.com>','',NULL);
INSERT INTO "messages" VALUES(6,1,'suppressed@example.com',6,7,'suppressed@example.com','',2,'["suppressed@example.com","Oslo","pro"]','suppressed',1770000008000000000,0,NULL,NULL,'',NULL);
INSERT INTO "messages" VALUES(7,1,'left@example.com',7,8,'left@example.com','',1,'["left@example.com","Oslo"]','withdrawn',1770000000000000000,0,NULL,NULL,'',NULL);
INSERT INTO "messages" VALUES(8,1,'invalid@',8,9,'','',2,'["invalid@","Bergen",""]','invalid',1770000008000000000,0,NULL,NULL,'the address has no domain',NULL);
INSERT INTO "messages" VALUES(9,1,'pending@example.com',9,10,'pending@example.com','',2,'["pending@example.com","Oslo","pro"]','pending',1770000000000000000,0,NULL,NULL,'',NULL);
INSERT INTO "messages" VALUES(10,1,'#fb866dc674469b037a35d89d1423a0647aaf7fe845cae23bb5b541d5507f34d5',10,11,'','',1,'[]','accepted',1770000003000000000,1,1,NULL,'',1770000003000000000);
INSERT INTO "messages" VALUES(11,1,'strasse@example.com',11,12,'straße@example.com','',1,'["straße@example.com","Oslo"]','accepted',1770000003000000000,1,1,'<74af2df60aa246f0ff94@example.com>','250 2.0.0 Ok',1770000003000000000);
INSERT INTO "messages" VALUES(12,1,'copies@example.com',12,13,'copies@example.com','',1,'["copies@example.com","Oslo"]','accepted',1770000003000000000,1,1,'<4580b3536d67a2febfc5@example.com>','250 2.0.0 Ok',1770000003000000000);
INSERT INTO "messages" VALUES(13,1,'dead@example.com',13,14,'dead@example.com','',2,'["dead@example.com","Oslo","pro"]','refused',1770000008000000000,1,1,'<d1a6a5f2c22230038170@example.com>','550 5.1.1 no such user',1770000003000000000);
INSERT INTO "messages" VALUES(14,1,'cased.local@example.com',14,15,'cased.Local@example.com','',1,'["cased.Local@example.com","Oslo"]','accepted',1770000003000000000,1,1,'<e769c464295e59b32005@example.com>','250 2.0.0 Ok',1770000003000000000);
INSERT INTO "messages" VALUES(15,1,'someone@blocked.example.net',15,16,'someone@blocked.example.net','',2,'["someone@blocked.example.net","Oslo","pro"]','suppressed',1770000008000000000,0,NULL,NULL,'',NULL);
INSERT INTO "messages" VALUES(16,1,'refused-left@example.com',16,17,'refused-left@example.com','',1,'["refused-left@example.com","Oslo"]','refused',1770000003000000000,1,1,'<5a485506a2a3d61b6d27@example.com>','550 5.7.1 not wanted',1770000003000000000);
INSERT INTO "messages" VALUES(18,1,'again@example.com',18,19,'again@example.com','',1,'["again@example.com","Oslo"]','accepted',1770000003000000000,2,1,'<466748a98bc08155781c@example.com>','250 2.0.0 Ok',1770000003000000000);
INSERT INTO "messages" VALUES(19,2,'2026-1',1,2,'accepted@example.com','',1,'["accepted@example.com","Oslo"]','pending',1770000009000000000,0,NULL,NULL,'',NULL);
INSERT INTO "messages" VALUES(20,2,'2026-2',2,3,'accepted@example.com','',1,'["accepted@example.com","Oslo"]','pending',1770000009000000000,0,NULL,NULL,'',NULL);
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
INSERT INTO "runs" VALUES(1,1,'mail1',4712,'boot pid:[1] 1','Mail.example.com','news',1770000001000000000,1770000005000000000,1770000005000000000);
INSERT INTO "runs" VALUES(2,1,'mail1',4713,'boot pid:[1] 2','','',1770000007000000000,1770000007000000000,1770000007000000000);
INSERT INTO "runs" VALUES(3,1,'mail1',4714,'boot pid:[1] 3','Mail.example.com','news',1770000010000000000,1770000010000000000,NULL);
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value ANY
) WITHOUT ROWID, STRICT;
INSERT INTO "settings" VALUES('secret',X'EE9504DBC91AFBB6A292D88F95E54142E56CA5D22B3F07BB6A5CA0951B306D4D');
CREATE TABLE suppressions (  -- who gets nothing from any campaign of this ledger
    pattern TEXT PRIMARY KEY,  -- a folded address, @domain, or # and a keyed hash of the address
    reason TEXT NOT NULL,
    added_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
INSERT INTO "suppressions" VALUES('#c3eacb3463778dc1a73fd36b789cbc204c12c627c999fc370aa94702e629b0f2','forgotten',1770000006000000000);
INSERT INTO "suppressions" VALUES('#fb866dc674469b037a35d89d1423a0647aaf7fe845cae23bb5b541d5507f34d5','forgotten',1770000006000000000);
INSERT INTO "suppressions" VALUES('@blocked.example.net','a domain',1770000000000000000);
INSERT INTO "suppressions" VALUES('dead@example.com','refused: 550 5.1.1 no such user',1770000003000000000);
INSERT INTO "suppressions" VALUES('strasse.gone@example.com','asked as straße.gone@',1770000000000000000);
INSERT INTO "suppressions" VALUES('suppressed@example.com','asked',1770000000000000000);
CREATE INDEX messages_due ON messages (campaign, due_at, number) WHERE status IN ('pending', 'deferred');
CREATE INDEX messages_rest ON messages (campaign, status)
    WHERE status NOT IN ('pending', 'deferred', 'accepted');
CREATE INDEX attempts_started ON attempts (started_at);
CREATE INDEX attempts_message ON attempts (message);
CREATE INDEX events_key ON events (campaign, key);
COMMIT;
