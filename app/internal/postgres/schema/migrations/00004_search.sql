-- +goose NO TRANSACTION
-- +goose Up

-- Two columns to search by, filled by a trigger. A generated column would do the same and be shorter, but adding one
-- rewrites the table while nobody can read it. Here every step is short or lets others work; none is wrapped in a
-- transaction, so each can be repeated after a failure. The version before writes books without knowing of any of this.
ALTER TABLE books ADD COLUMN IF NOT EXISTS search tsvector, ADD COLUMN IF NOT EXISTS author_names tsvector;

COMMENT ON COLUMN books.search IS 'words of the title (weight A), the authors (B) and the description (D); set by a trigger';
COMMENT ON COLUMN books.author_names IS 'each author''s whole name as one lexeme, for prefixes; set by a trigger';

-- The catalogue has books in every language, so words are taken as they are: the configuration "simple" knows no stems and no
-- stop words. Letters are lowered by ICU's rules first, because in a database of locale C only ASCII would be.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION books_fill_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search :=
        setweight(to_tsvector('pg_catalog.simple', lower(NEW.title COLLATE "und-x-icu")), 'A')
        || setweight(to_tsvector('pg_catalog.simple', lower(array_to_string(NEW.authors, E'\n') COLLATE "und-x-icu")), 'B')
        || setweight(to_tsvector('pg_catalog.simple', lower(NEW.description COLLATE "und-x-icu")), 'D');
    NEW.author_names := array_to_tsvector(array(
        SELECT lower(name COLLATE "und-x-icu") FROM unnest(NEW.authors) AS name WHERE name <> ''));
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE OR REPLACE TRIGGER books_fill_search BEFORE INSERT OR UPDATE OF title, authors, description ON books
    FOR EACH ROW EXECUTE FUNCTION books_fill_search();

-- The books that are there already, a batch at a time, so that no book is locked for longer than its batch takes.
-- +goose StatementBegin
DO $$
DECLARE
    last bigint := 0;
BEGIN
    LOOP
        WITH batch AS (SELECT id FROM books WHERE id > last AND search IS NULL ORDER BY id LIMIT 1000),
            filled AS (UPDATE books SET title = title FROM batch WHERE books.id = batch.id RETURNING books.id)
        SELECT max(id) INTO last FROM filled;
        EXIT WHEN last IS NULL;
        COMMIT;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- What an attempt that failed has left is not valid.
DROP INDEX CONCURRENTLY IF EXISTS books_search_idx;
CREATE INDEX CONCURRENTLY books_search_idx ON books USING gin (search);
DROP INDEX CONCURRENTLY IF EXISTS books_author_names_idx;
CREATE INDEX CONCURRENTLY books_author_names_idx ON books USING gin (author_names);

-- +goose Down

DROP TRIGGER books_fill_search ON books;
DROP FUNCTION books_fill_search();
ALTER TABLE books DROP COLUMN search, DROP COLUMN author_names;
