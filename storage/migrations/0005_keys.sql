-- Public keys of devices, for end-to-end encryption. No private key ever comes here.
CREATE TABLE device_keys (
    device_id bigint PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    version smallint NOT NULL,
    registration bigint NOT NULL,
    identity bytea NOT NULL CHECK (octet_length(identity) = 32),
    signed_prekey_id bigint NOT NULL,
    signed_prekey bytea NOT NULL CHECK (octet_length(signed_prekey) = 32),
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    prekey_id_max bigint NOT NULL,  -- the highest one-time prekey ever seen: none comes twice
    uploaded_at_ms bigint NOT NULL
);

-- One-time prekeys that nobody has got yet: the row is deleted by whoever is given the key.
CREATE TABLE prekeys (
    device_id bigint NOT NULL REFERENCES device_keys ON DELETE CASCADE,
    prekey_id bigint NOT NULL,
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    PRIMARY KEY (device_id, prekey_id)
);
