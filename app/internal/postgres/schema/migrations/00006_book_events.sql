-- +goose Up

-- Who changed what, and when. Triggers write it, whatever changes a book: the API, an import, the version of the service
-- before this one, psql. It does not refer to books, because it outlives them.
CREATE TABLE book_events (
    id       bigint      GENERATED ALWAYS AS IDENTITY,
    book_id  bigint      NOT NULL,
    action   text        NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    actor    text        NOT NULL,
    token_id text, -- the public part of the token, when one was used: a name can pass on to another token, this cannot
    version  bigint      NOT NULL,
    before   jsonb, -- of an update, both hold only what has changed
    after    jsonb,

    CONSTRAINT book_events_pkey PRIMARY KEY (id),
    CONSTRAINT book_events_action_known CHECK (action IN ('create', 'update', 'delete')),
    CONSTRAINT book_events_states CHECK ((before IS NULL) = (action = 'create') AND (after IS NULL) = (action = 'delete'))
);

-- A page of a book's history, newest first. Changes of one book wait for each other, so the identifiers of its events have
-- the order of its versions.
CREATE INDEX book_events_book_idx ON book_events (book_id, id);

-- +goose StatementBegin
CREATE FUNCTION book_members(
    title text, authors text[], isbn13 text, published_year smallint, language text, description text
) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('title', title, 'authors', authors, 'isbn13', isbn13, 'published_year', published_year,
        'language', language, 'description', nullif(description, ''))
$$;
-- +goose StatementEnd

-- It runs with the rights of the owner, so that the serving role can write events in no other way. The actor is what the
-- transaction says, and otherwise the login: a token's name has no colon in it, so none can pass for a login. One
-- execution for each statement, not for each row: an import changes a million books with one.
-- +goose StatementBegin
CREATE FUNCTION record_book_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    actor text := coalesce(nullif(current_setting('bookshelf.actor', true), ''), 'login:' || session_user);
    token text := nullif(current_setting('bookshelf.token_id', true), '');
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.book_events (book_id, action, actor, token_id, version, after)
        SELECT n.id, 'create', actor, token, n.version,
            public.book_members(n.title, n.authors, n.isbn13, n.published_year, n.language, n.description)
        FROM new_books n ORDER BY n.id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO public.book_events (book_id, action, actor, token_id, version, before)
        SELECT o.id, 'delete', actor, token, o.version,
            public.book_members(o.title, o.authors, o.isbn13, o.published_year, o.language, o.description)
        FROM old_books o ORDER BY o.id;
    ELSE
        INSERT INTO public.book_events (book_id, action, actor, token_id, version, before, after)
        SELECT n.id, 'update', actor, token, n.version, changed.before, changed.after
        FROM new_books n JOIN old_books o ON o.id = n.id
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(was.key, was.value), '{}') AS before,
                coalesce(jsonb_object_agg(is_now.key, is_now.value), '{}') AS after
            FROM jsonb_each(public.book_members(
                o.title, o.authors, o.isbn13, o.published_year, o.language, o.description)) was
            JOIN jsonb_each(public.book_members(
                n.title, n.authors, n.isbn13, n.published_year, n.language, n.description)) is_now
                ON is_now.key = was.key AND is_now.value <> was.value
        ) changed
        ORDER BY n.id;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION record_book_events() FROM PUBLIC;

CREATE TRIGGER books_record_insert AFTER INSERT ON books
    REFERENCING NEW TABLE AS new_books FOR EACH STATEMENT EXECUTE FUNCTION record_book_events();
CREATE TRIGGER books_record_update AFTER UPDATE ON books
    REFERENCING OLD TABLE AS old_books NEW TABLE AS new_books FOR EACH STATEMENT EXECUTE FUNCTION record_book_events();
CREATE TRIGGER books_record_delete AFTER DELETE ON books
    REFERENCING OLD TABLE AS old_books FOR EACH STATEMENT EXECUTE FUNCTION record_book_events();

-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('GRANT SELECT ON book_events TO %I', current_database() || '_app');
END
$$;
-- +goose StatementEnd

-- +goose Down

DROP TRIGGER books_record_insert ON books;
DROP TRIGGER books_record_update ON books;
DROP TRIGGER books_record_delete ON books;
DROP FUNCTION record_book_events();
DROP FUNCTION book_members(text, text[], text, smallint, text, text);
DROP TABLE book_events;
