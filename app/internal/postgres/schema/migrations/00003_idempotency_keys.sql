-- +goose Up

-- A row is written in the transaction that does what its request asked for: either both are there or neither. What a second
-- request with the key is answered is all in the row, so a later version may answer it too.
CREATE TABLE idempotency_keys (
    scope       text        NOT NULL DEFAULT '',
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      smallint    NOT NULL,
    header      jsonb       NOT NULL,
    body        bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,

    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (scope, key),
    CONSTRAINT idempotency_keys_key_length CHECK (char_length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_fingerprint_length CHECK (octet_length(fingerprint) = 32)
);

COMMENT ON COLUMN idempotency_keys.scope IS 'whose key it is: the identity of the caller, empty where callers have none';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'SHA-256 of the request''s body';
COMMENT ON COLUMN idempotency_keys.header IS 'an object of arrays: the headers of the response that belong to the result';

-- For the clean-up.
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO %I', current_database() || '_app');
END
$$;
-- +goose StatementEnd

-- +goose Down

DROP TABLE idempotency_keys;
