-- A database as version 1 of the store made it, with a little in it. Never to be changed.
CREATE TABLE outgoing (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL,
    recipient TEXT,
    number TEXT NOT NULL,
    text TEXT,
    way TEXT NOT NULL,
    at INTEGER NOT NULL,
    due INTEGER,
    automatic INTEGER NOT NULL,
    outcome TEXT,
    reason TEXT,
    parts INTEGER NOT NULL DEFAULT 1,
    missing INTEGER NOT NULL DEFAULT 1,
    segments INTEGER NOT NULL DEFAULT 1,
    state TEXT NOT NULL,
    status TEXT,
    state_at INTEGER NOT NULL,
    matched TEXT
);
CREATE INDEX outgoing_at ON outgoing (at);
CREATE INDEX outgoing_number ON outgoing (number, at);
CREATE INDEX outgoing_recipient ON outgoing (recipient, at) WHERE recipient IS NOT NULL;
CREATE INDEX outgoing_missing ON outgoing (number) WHERE missing > 0;
CREATE INDEX outgoing_open ON outgoing (state, at) WHERE state IN ('sending', 'accepted', 'pending');

CREATE TABLE segment (
    outgoing INTEGER NOT NULL REFERENCES outgoing (row) ON DELETE CASCADE,
    message_id TEXT NOT NULL,
    word TEXT,
    PRIMARY KEY (outgoing, message_id)
) WITHOUT ROWID;
CREATE INDEX segment_id ON segment (message_id);

CREATE TABLE uplink (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL,
    recipient TEXT,
    id TEXT NOT NULL,
    number TEXT NOT NULL,
    content TEXT,
    extension TEXT NOT NULL,
    message_id TEXT NOT NULL,
    incomplete INTEGER NOT NULL,
    via TEXT NOT NULL,
    at INTEGER NOT NULL,
    repeat INTEGER NOT NULL,
    digest BLOB,
    answered INTEGER NOT NULL DEFAULT 0,
    fired INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX uplink_at ON uplink (at);
CREATE INDEX uplink_number ON uplink (number, at);
CREATE INDEX uplink_recipient ON uplink (recipient, at) WHERE recipient IS NOT NULL;
CREATE INDEX uplink_unfired ON uplink (entry) WHERE NOT fired;

CREATE TABLE report (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL,
    recipient TEXT,
    id TEXT NOT NULL,
    number TEXT NOT NULL,
    message_id TEXT NOT NULL,
    status TEXT NOT NULL,
    via TEXT NOT NULL,
    at INTEGER NOT NULL,
    repeat INTEGER NOT NULL,
    digest BLOB,
    answered INTEGER NOT NULL DEFAULT 0,
    fired INTEGER NOT NULL DEFAULT 0,
    outgoing INTEGER REFERENCES outgoing (row) ON DELETE CASCADE
);
CREATE INDEX report_at ON report (at);
CREATE INDEX report_unfired ON report (entry) WHERE NOT fired;
CREATE INDEX report_foreign ON report (number, at) WHERE outgoing IS NULL;
CREATE INDEX report_outgoing ON report (outgoing) WHERE outgoing IS NOT NULL;

INSERT INTO outgoing (entry, number, text, way, at, automatic, outcome, missing, state, state_at)
VALUES ('home', '13800000001', '门开了', 'http', 1777636800000000, 0, 'accepted', 0, 'accepted', 1777636800000000);
INSERT INTO segment (outgoing, message_id) VALUES (1, '007');
INSERT INTO uplink (entry, id, number, content, extension, message_id, incomplete, via, at, repeat)
VALUES ('home', 'first', '13800000001', '收到', '', '', 0, 'webhook', 1777636860000000, 0);
PRAGMA user_version = 1;
