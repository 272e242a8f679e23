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
)sql",
                                              R"sql(
-- A group is a peer without user and phone. tag 0: not known; stale: what is here is not all, the directory is asked.
ALTER TABLE peers ADD COLUMN group_id INTEGER;
CREATE UNIQUE INDEX peers_by_group ON peers(group_id) WHERE group_id IS NOT NULL;
CREATE TABLE groups(id INTEGER PRIMARY KEY, peer INTEGER NOT NULL UNIQUE REFERENCES peers(id), tag INTEGER NOT NULL,
  version INTEGER NOT NULL, seen_version INTEGER NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
  picture TEXT NOT NULL, settings INTEGER NOT NULL, role INTEGER NOT NULL, stale INTEGER NOT NULL);
CREATE INDEX groups_stale ON groups(id) WHERE stale = 1;
CREATE INDEX groups_by_name ON groups(name COLLATE NOCASE);
CREATE TABLE group_members(group_id INTEGER NOT NULL, user INTEGER NOT NULL, role INTEGER NOT NULL,
  PRIMARY KEY(group_id, user)) WITHOUT ROWID;
CREATE TABLE group_notes(id INTEGER PRIMARY KEY AUTOINCREMENT, group_id INTEGER NOT NULL, version INTEGER NOT NULL,
  kind INTEGER NOT NULL, role INTEGER NOT NULL, actor INTEGER NOT NULL, users TEXT NOT NULL, at_ms INTEGER NOT NULL,
  UNIQUE(group_id, version));
ALTER TABLE meta ADD COLUMN listened_notes INTEGER NOT NULL DEFAULT 0;
-- Who of a group should have an outgoing message; 0: has not yet. messages.recipients, got and seen count them.
CREATE TABLE group_marks(message INTEGER NOT NULL, user INTEGER NOT NULL, delivered_ms INTEGER NOT NULL,
  read_ms INTEGER NOT NULL, PRIMARY KEY(message, user)) WITHOUT ROWID;
CREATE INDEX group_marks_open ON group_marks(user, message) WHERE delivered_ms = 0;
ALTER TABLE messages ADD COLUMN author INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN recipients INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN got INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE copies ADD COLUMN author INTEGER NOT NULL DEFAULT 0;
)sql",
                                              R"sql(
-- End-to-end encryption. uploaded: the directory has all that is current.
CREATE TABLE own_keys(one INTEGER PRIMARY KEY CHECK(one = 1), user INTEGER NOT NULL, public BLOB NOT NULL,
  private BLOB NOT NULL, registration INTEGER NOT NULL, next_prekey INTEGER NOT NULL DEFAULT 1,
  signed_id INTEGER NOT NULL DEFAULT 0, signed_ms INTEGER NOT NULL DEFAULT 0, uploaded INTEGER NOT NULL DEFAULT 0,
  checked_ms INTEGER NOT NULL DEFAULT 0);
CREATE TABLE prekeys(id INTEGER PRIMARY KEY, public BLOB NOT NULL, record BLOB NOT NULL, uploaded INTEGER NOT NULL);
CREATE TABLE signed_prekeys(id INTEGER PRIMARY KEY, public BLOB NOT NULL, signature BLOB NOT NULL, record BLOB NOT NULL,
  made_ms INTEGER NOT NULL);
-- record null: that device had no keys at checked_ms; fresh: the next message is to begin a new session
CREATE TABLE sessions(user INTEGER NOT NULL, device INTEGER NOT NULL, record BLOB, fresh INTEGER NOT NULL DEFAULT 0,
  begun_ms INTEGER NOT NULL DEFAULT 0, checked_ms INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(user, device)) WITHOUT ROWID;
CREATE INDEX sessions_fresh ON sessions(user) WHERE fresh = 1;
CREATE TABLE sender_keys(group_id INTEGER NOT NULL, user INTEGER NOT NULL, device INTEGER NOT NULL, record BLOB NOT NULL,
  PRIMARY KEY(group_id, user, device)) WITHOUT ROWID;
-- who has our sender key of a group, as it is now
CREATE TABLE key_holders(group_id INTEGER NOT NULL, user INTEGER NOT NULL, device INTEGER NOT NULL,
  PRIMARY KEY(group_id, user, device)) WITHOUT ROWID;
ALTER TABLE groups ADD COLUMN rekey INTEGER NOT NULL DEFAULT 0;
-- whose devices are all known; stale: they have changed
CREATE TABLE key_checks(user INTEGER PRIMARY KEY, stale INTEGER NOT NULL);
-- strict: a change blocks sending (held) until the person trusts the new key
CREATE TABLE identities(user INTEGER PRIMARY KEY, key BLOB NOT NULL, verified INTEGER NOT NULL DEFAULT 0,
  strict INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0);
CREATE TABLE identity_devices(user INTEGER NOT NULL, device INTEGER NOT NULL, key BLOB NOT NULL,
  PRIMARY KEY(user, device)) WITHOUT ROWID;
CREATE TABLE identity_notes(id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL, at_ms INTEGER NOT NULL);
ALTER TABLE meta ADD COLUMN listened_identities INTEGER NOT NULL DEFAULT 0;
-- what one client says to another, not yet encrypted
CREATE TABLE controls(id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL, device INTEGER NOT NULL,
  content BLOB NOT NULL, origin INTEGER NOT NULL);
-- origin: the seq that a control says again. sealed: what is sent, until it is delivered; resends: times that its recipient could not decrypt it
ALTER TABLE copies ADD COLUMN sealed BLOB;
ALTER TABLE copies ADD COLUMN resends INTEGER NOT NULL DEFAULT 0;
ALTER TABLE copies ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;
-- held: could not be decrypted, its content is the ciphertext; 1 + times asked for again
ALTER TABLE messages ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_held ON messages(from_device, seq) WHERE held > 0;
)sql",
                                              R"sql(
-- null: nothing to ask; else the page of the list of our groups that is asked for next
ALTER TABLE meta ADD COLUMN list_groups_after INTEGER;
)sql",
                                              R"sql(
-- Files that are being sent: what they are called here, and as what they were sealed; the ciphertext is in a file.
CREATE TABLE media_outgoing(source TEXT PRIMARY KEY, key BLOB NOT NULL, digest BLOB NOT NULL, bytes INTEGER NOT NULL,
  sealed_bytes INTEGER NOT NULL) WITHOUT ROWID;
)sql"};

}  // namespace barid::client
