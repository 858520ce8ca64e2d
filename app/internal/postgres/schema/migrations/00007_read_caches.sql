-- +goose Up

-- Instances of the service that keep answers in memory, each with a row that it renews about once a second. While none
-- does, a change costs one look into this table, and no more: NOTIFY makes all transactions that use it commit one after
-- the other, on the whole server.
CREATE TABLE read_caches (
    id    text        NOT NULL,
    until timestamptz NOT NULL,

    CONSTRAINT read_caches_pkey PRIMARY KEY (id),
    CONSTRAINT read_caches_id_form CHECK (id ~ '^[0-9a-f]{32}$')
);

COMMENT ON TABLE read_caches IS 'who has to be told of changes of books, over the channel bookshelf_books';

-- The payload is the IDs of the books as they were, separated by commas, or * for "any of them": of many, a list would be
-- longer than the 8000 bytes that fit, and of use to nobody. New books are not announced: nobody has kept an answer with
-- them. A transaction that looks at the past (REPEATABLE READ) could miss a row of read_caches, so it does not look.
-- It runs with the rights of the owner, so that whoever may change books need have no other right.
-- +goose StatementBegin
CREATE FUNCTION announce_changed_books() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    most CONSTANT int := 100;
    ids bigint[];
BEGIN
    IF current_setting('transaction_isolation') = 'read committed'
        AND NOT EXISTS (SELECT FROM public.read_caches WHERE until > clock_timestamp()) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('bookshelf_books', '*');
        RETURN NULL;
    END IF;
    ids := array(SELECT id FROM old_books LIMIT most + 1);
    IF cardinality(ids) > most THEN
        PERFORM pg_notify('bookshelf_books', '*');
    ELSIF cardinality(ids) > 0 THEN
        PERFORM pg_notify('bookshelf_books', array_to_string(ids, ','));
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION announce_changed_books() FROM PUBLIC;

CREATE TRIGGER books_announce_update AFTER UPDATE ON books
    REFERENCING OLD TABLE AS old_books FOR EACH STATEMENT EXECUTE FUNCTION announce_changed_books();
CREATE TRIGGER books_announce_delete AFTER DELETE ON books
    REFERENCING OLD TABLE AS old_books FOR EACH STATEMENT EXECUTE FUNCTION announce_changed_books();
CREATE TRIGGER books_announce_truncate AFTER TRUNCATE ON books
    FOR EACH STATEMENT EXECUTE FUNCTION announce_changed_books();

-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON read_caches TO %I', current_database() || '_app');
END
$$;
-- +goose StatementEnd

-- +goose Down

DROP TRIGGER books_announce_update ON books;
DROP TRIGGER books_announce_delete ON books;
DROP TRIGGER books_announce_truncate ON books;
DROP FUNCTION announce_changed_books();
DROP TABLE read_caches;
