-- Token buckets that all directory workers share. Keys are keyed hashes: no addresses or numbers are kept here.
CREATE TABLE throttles (
    key bytea PRIMARY KEY,
    level double precision NOT NULL,
    at_ms bigint NOT NULL
);
CREATE INDEX throttles_at ON throttles (at_ms);

-- What has changed here and may not have reached the key-value buckets yet (a transactional outbox): written in the
-- transaction of the change, removed once it is projected.
CREATE SEQUENCE projection_versions;
CREATE TABLE projections (
    kind smallint NOT NULL,
    id bigint NOT NULL,
    version bigint NOT NULL DEFAULT nextval('projection_versions'),
    PRIMARY KEY (kind, id)
);
