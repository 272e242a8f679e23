// The layout of barid.db, version by version: entry n takes a file from user_version n to n + 1. Only ever
// appended to.
#pragma once

namespace barid::client {

inline constexpr const char* kMigrations[] = {R"sql(
CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one = 1), next_seq INTEGER NOT NULL, revision INTEGER NOT NULL,
  listened INTEGER NOT NULL);
INSERT INTO meta VALUES(1, 1, 0, 0);
CREATE TABLE account(one INTEGER PRIMARY KEY CHECK(one = 1), phone TEXT NOT NULL, name TEXT NOT NULL,
  server TEXT NOT NULL, tls_ca TEXT NOT NULL, key BLOB NOT NULL, token BLOB NOT NULL, user INTEGER NOT NULL,
  device INTEGER NOT NULL, session_no INTEGER NOT NULL, incarnation INTEGER NOT NULL);
CREATE TABLE peers(id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER UNIQUE, phone TEXT UNIQUE,
  name TEXT UNIQUE COLLATE NOCASE, blocked INTEGER NOT NULL DEFAULT 0);
CREATE TABLE devices(user INTEGER NOT NULL, device INTEGER NOT NULL, tag INTEGER NOT NULL,
  PRIMARY KEY(user, device)) WITHOUT ROWID;
-- addressed: copies exist (outgoing); told: the sender knows that it was read, or need not (incoming)
CREATE TABLE messages(id INTEGER PRIMARY KEY AUTOINCREMENT, peer INTEGER NOT NULL REFERENCES peers(id),
  incoming INTEGER NOT NULL, addressed INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0,
  from_device INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL DEFAULT 0, content BLOB NOT NULL,
  state INTEGER NOT NULL, reason INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,
  accepted_ms INTEGER NOT NULL DEFAULT 0, delivered_ms INTEGER NOT NULL DEFAULT 0, read_ms INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL);
CREATE INDEX messages_by_peer ON messages(peer, id);
CREATE INDEX messages_by_revision ON messages(revision, id);
CREATE INDEX messages_waiting ON messages(id) WHERE incoming = 0 AND addressed = 0;
CREATE INDEX messages_waiting_peer ON messages(peer) WHERE incoming = 0 AND addressed = 0;
CREATE INDEX messages_outgoing_open ON messages(id) WHERE incoming = 0 AND state < 3;
CREATE INDEX messages_unread ON messages(peer, id) WHERE incoming = 1 AND state < 5;
CREATE INDEX messages_untold ON messages(peer, from_device, seq) WHERE incoming = 1 AND state = 5 AND told = 0;
-- gone: its device no longer exists, another one is to be found
CREATE TABLE copies(seq INTEGER PRIMARY KEY, message INTEGER NOT NULL, kind INTEGER NOT NULL, user INTEGER NOT NULL,
  device INTEGER NOT NULL, tag INTEGER NOT NULL, ranges TEXT NOT NULL DEFAULT '', created_ms INTEGER NOT NULL,
  state INTEGER NOT NULL DEFAULT 0, pending INTEGER NOT NULL DEFAULT 1, gone INTEGER NOT NULL DEFAULT 0,
  moves INTEGER NOT NULL DEFAULT 0);
CREATE INDEX copies_pending ON copies(seq) WHERE pending = 1;
CREATE INDEX copies_gone ON copies(user) WHERE gone = 1;
CREATE INDEX copies_by_message ON copies(message);
CREATE TABLE seen(device INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY(device, first)) WITHOUT ROWID;
CREATE TABLE calls(id INTEGER PRIMARY KEY AUTOINCREMENT, request BLOB NOT NULL, response BLOB, at_ms INTEGER NOT NULL);
)sql"};

}  // namespace barid::client
