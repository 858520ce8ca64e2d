-- +goose Up

-- The serving role may read and change books, and read which migrations have run. It reaches both through a group role
-- named after the database, because logins come and go (they are rotated) while the grants stay. Identity columns need no
-- grant on their sequence.

-- +goose StatementBegin
DO $$
DECLARE
    app text := current_database() || '_app';
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON books TO %I', app);
    EXECUTE format('GRANT SELECT ON goose_db_version TO %I', app);
END
$$;
-- +goose StatementEnd

-- +goose Down

-- The grants name the group in force when they were made, which after a rename or a restore under another name is not
-- the one that the name of the database gives; so they are found by what they are.

-- +goose StatementBegin
DO $$
DECLARE
    app text;
BEGIN
    FOR app IN
        SELECT DISTINCT grantee FROM information_schema.role_table_grants
        WHERE table_schema = 'public' AND table_name IN ('books', 'goose_db_version') AND grantee <> grantor
    LOOP
        EXECUTE format('REVOKE ALL ON books, goose_db_version FROM %I', app);
        EXECUTE format('REVOKE USAGE ON SCHEMA public FROM %I', app);
    END LOOP;
END
$$;
-- +goose StatementEnd
