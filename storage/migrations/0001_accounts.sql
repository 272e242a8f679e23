-- Times are milliseconds since 1970 (UTC), by the clock of the caller. Ids are random and positive.
CREATE TABLE users (
    user_id bigint PRIMARY KEY CHECK (user_id > 0),
    phone_e164 text NOT NULL UNIQUE,
    created_at_ms bigint NOT NULL
);

CREATE TABLE devices (
    device_id bigint PRIMARY KEY CHECK (device_id > 0),
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    name text NOT NULL,
    created_at_ms bigint NOT NULL,
    revoked_at_ms bigint
);
CREATE INDEX devices_live ON devices (user_id) WHERE revoked_at_ms IS NULL;
CREATE INDEX devices_revoked ON devices (revoked_at_ms, device_id) WHERE revoked_at_ms IS NOT NULL;

-- One-time codes: the last one of each number. The code itself is never stored, only its keyed hash.
CREATE TABLE codes (
    phone_e164 text PRIMARY KEY,
    mac bytea NOT NULL,
    expires_at_ms bigint NOT NULL,
    tries_left integer NOT NULL,
    sent_at_ms bigint NOT NULL,
    streak integer NOT NULL,          -- codes sent without a quiet time between them
    last_try bigint NOT NULL DEFAULT 0,  -- names the last try, to look up a commit whose fate is unknown
    used_by bigint                    -- the device that the code registered
);
CREATE INDEX codes_sent ON codes (sent_at_ms);

CREATE TABLE blocks (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    blocked_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at_ms bigint NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
);
CREATE INDEX blocks_reverse ON blocks (blocked_id);

CREATE TABLE lookup_counts (
    device_id bigint NOT NULL,
    day integer NOT NULL,  -- days since 1970, UTC
    used integer NOT NULL,
    PRIMARY KEY (device_id, day)
);
CREATE INDEX lookup_counts_day ON lookup_counts (day);
