-- +goose Up

-- Who may use the API. Of a token's secret only its SHA-256 is kept. The identifier is the public part of the token, by which
-- it is looked up; package token tells how a token is made.
CREATE TABLE api_tokens (
    id             text        NOT NULL,
    name           text        NOT NULL,
    scopes         text[]      NOT NULL,
    secret_hash    bytea       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz,
    rotated_at     timestamptz,
    previous_hash  bytea, -- of the secret before the last rotation
    previous_until timestamptz,
    revoked_at     timestamptz,
    last_used_at   timestamptz,

    CONSTRAINT api_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT api_tokens_id_form CHECK (id ~ '^[a-z2-7]{12}$'),
    -- As package token has it. What a name may hold keeps it harmless in a log line and apart from an identifier.
    CONSTRAINT api_tokens_name_form CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9.@_-]{0,62}$' AND name !~ '^bks_'),
    CONSTRAINT api_tokens_scopes_known CHECK (
        cardinality(scopes) > 0 AND scopes <@ '{books:read,books:write,admin}'::text[]
        AND array_position(scopes, NULL) IS NULL),
    CONSTRAINT api_tokens_secret_hash_length CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT api_tokens_previous_hash_length CHECK (octet_length(previous_hash) = 32),
    CONSTRAINT api_tokens_previous_whole CHECK ((previous_hash IS NULL) = (previous_until IS NULL))
);

-- The name stands for the token in the history of books, so two that are in force must not share one. A revoked token
-- gives its name back.
CREATE UNIQUE INDEX api_tokens_name_key ON api_tokens (name) WHERE revoked_at IS NULL;

-- The serving role makes tokens as well, because the command that does so runs beside the service, with its login. It can
-- remove none, nor change what identifies one, so each token ever made can be seen.
-- +goose StatementBegin
DO $$
DECLARE
    app text := current_database() || '_app';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT (id, name, scopes, secret_hash, expires_at) ON api_tokens TO %I', app);
    EXECUTE format('GRANT UPDATE (secret_hash, expires_at, rotated_at, previous_hash, previous_until, revoked_at, last_used_at)'
        ' ON api_tokens TO %I', app);
END
$$;
-- +goose StatementEnd

-- +goose Down

DROP TABLE api_tokens;
