-- Media: ciphertexts that the media service has, by the SHA-256 of their bytes.
CREATE TABLE media_objects (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    bytes bigint NOT NULL CHECK (bytes > 0),
    stored_at_ms bigint NOT NULL
);

-- For whom they are kept, and until when. Not stored: an upload that is under way; its bytes count all the same.
CREATE TABLE media_keeps (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    bytes bigint NOT NULL,
    stored boolean NOT NULL,
    until_ms bigint NOT NULL,
    PRIMARY KEY (user_id, digest)
);
CREATE INDEX media_keeps_by_digest ON media_keeps (digest);
CREATE INDEX media_keeps_by_end ON media_keeps (until_ms);
