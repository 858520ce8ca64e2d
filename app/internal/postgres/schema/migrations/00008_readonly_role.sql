-- +goose Up

-- What people who look may see, through a role named after the database, where there is one: books and their history, and which tokens
-- there are. Neither the hashes of their secrets, nor the requests and answers that idempotency keys keep.

-- +goose StatementBegin
DO $$
DECLARE
    readonly text := current_database() || '_readonly';
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = readonly) THEN
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', readonly);
        EXECUTE format('GRANT SELECT ON books, book_events, goose_db_version TO %I', readonly);
        EXECUTE format('GRANT SELECT (id, name, scopes, created_at, expires_at, rotated_at, previous_until, revoked_at, last_used_at)'
            ' ON api_tokens TO %I', readonly);
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down

-- Found by what they are, as in 00002. The schema's grant goes with the role, which this migration has not made.

-- +goose StatementBegin
DO $$
DECLARE
    readonly text;
BEGIN
    FOR readonly IN
        SELECT rolname FROM pg_roles
        WHERE rolname LIKE '%\_readonly' AND has_column_privilege(oid, 'api_tokens', 'name', 'SELECT') AND NOT rolsuper
    LOOP
        EXECUTE format('REVOKE ALL ON books, book_events, goose_db_version FROM %I', readonly);
        EXECUTE format('REVOKE ALL (id, name, scopes, created_at, expires_at, rotated_at, previous_until, revoked_at, last_used_at)'
            ' ON api_tokens FROM %I', readonly);
    END LOOP;
END
$$;
-- +goose StatementEnd
