-- Groups. Every change makes the next version of its group, under a lock on the group's row, and leaves an event.
CREATE TABLE groups (
    group_id bigint PRIMARY KEY CHECK (group_id > 0),
    version bigint NOT NULL CHECK (version > 0),
    creator_id bigint NOT NULL REFERENCES users,
    creator_key bigint NOT NULL,  -- of the request that created it: the same one again finds it
    name text NOT NULL,
    description text NOT NULL,
    picture text NOT NULL,
    only_admins_send boolean NOT NULL,
    only_admins_edit boolean NOT NULL,
    join_approval boolean NOT NULL,
    members integer NOT NULL CHECK (members >= 0),
    created_at_ms bigint NOT NULL,
    deleted_at_ms bigint,
    -- The invite link is a keyed hash of this: the table alone gives nobody a link that works.
    invite_nonce bytea CHECK (octet_length(invite_nonce) = 16),
    invite_at_ms bigint,
    invite_by bigint,
    UNIQUE (creator_id, creator_key)
);

-- One row for each stretch of versions in which a user had a role: from joined_version up to, not including, left_version.
CREATE TABLE group_members (
    group_id bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    joined_version bigint NOT NULL,
    left_version bigint CHECK (left_version > joined_version),
    role smallint NOT NULL CHECK (role BETWEEN 1 AND 3),  -- member, admin, owner
    removed boolean NOT NULL DEFAULT false,               -- by somebody else: an invite alone does not bring them back
    PRIMARY KEY (group_id, user_id, joined_version)
);
CREATE UNIQUE INDEX group_members_now ON group_members (group_id, user_id) WHERE left_version IS NULL;
CREATE INDEX group_members_of_user ON group_members (user_id, group_id) WHERE left_version IS NULL;

-- What made each version: the frame that members get, and, once it is in the stream FANOUT, its place there.
CREATE TABLE group_events (
    group_id bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
    version bigint NOT NULL,
    frame bytea NOT NULL,
    only_admins_send boolean NOT NULL,  -- of the group at this version
    at_ms bigint NOT NULL,
    published_seq bigint,
    published_in text,  -- the broker's incarnation: places of another one come before all places of this one
    PRIMARY KEY (group_id, version)
);
CREATE INDEX group_events_unpublished ON group_events (group_id, version) WHERE published_seq IS NULL;
CREATE INDEX group_events_at ON group_events (at_ms) WHERE published_seq IS NOT NULL;

CREATE TABLE group_join_requests (
    group_id bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    at_ms bigint NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_join_requests_of_user ON group_join_requests (user_id);

-- Users whose devices have changed, and the groups that have not been told yet: written in the transaction of the change.
CREATE TABLE group_device_changes (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    group_id bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX group_device_changes_of_group ON group_device_changes (group_id);
