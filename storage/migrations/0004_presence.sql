-- Who may see a user's last-seen time and whether they are online: 0 everyone, 1 contacts, 2 nobody. No row: everyone.
CREATE TABLE privacy (
    user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    last_seen smallint NOT NULL CHECK (last_seen BETWEEN 0 AND 2),
    online smallint NOT NULL CHECK (online BETWEEN 0 AND 2)
);

-- Whom a user counts among their contacts, as told by their devices.
CREATE TABLE contacts (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    contact_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (user_id, contact_id)
);
CREATE INDEX contacts_reverse ON contacts (contact_id);

CREATE TABLE last_seen (
    user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    at_ms bigint NOT NULL
) WITH (fillfactor = 70);  -- updated in place, over and over
