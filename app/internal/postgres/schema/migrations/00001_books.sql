-- +goose Up

-- The constraints repeat what package book checks, so that no other way in (psql, a restored dump, a fault in the service)
-- can store a book that the service could not have accepted. Authors are checked through array_to_string because a CHECK
-- cannot look into an array's elements by a subquery, and a function of our own would be harder to change later.
-- [\u0001-\u001f\u007f-\u009f] are the control characters (Unicode category Cc); U+0000 cannot be stored at all.
CREATE TABLE books (
    id             bigint      GENERATED ALWAYS AS IDENTITY,
    title          text        NOT NULL,
    authors        text[]      NOT NULL,
    isbn13         text,
    published_year smallint,
    language       text,
    description    text        NOT NULL DEFAULT '',
    version        bigint      NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT books_pkey PRIMARY KEY (id),
    CONSTRAINT books_isbn13_key UNIQUE (isbn13),

    CONSTRAINT books_title_length CHECK (char_length(title) <= 500),
    CONSTRAINT books_title_blank CHECK (title ~ '[^[:space:]]'),
    CONSTRAINT books_title_control CHECK (title !~ '[\u0001-\u001f\u007f-\u009f]'),

    CONSTRAINT books_authors_count CHECK (
        cardinality(authors) BETWEEN 1 AND 50 AND array_ndims(authors) = 1 AND array_position(authors, NULL) IS NULL),
    CONSTRAINT books_authors_length CHECK (array_to_string(authors, E'\n') !~ '[^\n]{201}'),
    CONSTRAINT books_authors_blank CHECK (
        authors = '{}' OR E'\n' || array_to_string(authors, E'\n') || E'\n' !~ '\n[[:space:]]*\n'),
    CONSTRAINT books_authors_control CHECK (array_to_string(authors, '') !~ '[\u0001-\u001f\u007f-\u009f]'),

    -- CASE, because AND does not promise to evaluate its left side first and the sum needs digits.
    CONSTRAINT books_isbn13_checksum CHECK (
        CASE WHEN isbn13 ~ '^97[89][0-9]{10}$' THEN (
            substr(isbn13, 1, 1)::int + substr(isbn13, 3, 1)::int + substr(isbn13, 5, 1)::int + substr(isbn13, 7, 1)::int
            + substr(isbn13, 9, 1)::int + substr(isbn13, 11, 1)::int + substr(isbn13, 13, 1)::int
            + 3 * (substr(isbn13, 2, 1)::int + substr(isbn13, 4, 1)::int + substr(isbn13, 6, 1)::int
                + substr(isbn13, 8, 1)::int + substr(isbn13, 10, 1)::int + substr(isbn13, 12, 1)::int)
        ) % 10 = 0 ELSE isbn13 IS NULL END),

    -- The service also refuses years after the next one; a constraint must not depend on the clock.
    CONSTRAINT books_published_year_range CHECK (published_year BETWEEN -3000 AND 9999),

    -- The grammar of RFC 5646, section 2.1, as in package book. The first test keeps ~* from folding letters beyond ASCII.
    CONSTRAINT books_language_form CHECK (
        char_length(language) <= 35 AND language ~ '^[A-Za-z0-9-]+$' AND language ~* (
            '^(([a-z]{2,3}(-[a-z]{3}){0,3}|[a-z]{4,8})'
            '(-[a-z]{4})?'
            '(-([a-z]{2}|[0-9]{3}))?'
            '(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*'
            '(-[0-9a-wyz](-[a-z0-9]{2,8})+)*'
            '(-x(-[a-z0-9]{1,8})+)?'
            '|x(-[a-z0-9]{1,8})+'
            '|en-gb-oed|i-(ami|bnn|default|enochian|hak|klingon|lux|mingo|navajo|pwn|tao|tay|tsu)|sgn-(be-fr|be-nl|ch-de))$')),

    CONSTRAINT books_description_length CHECK (char_length(description) <= 10000),
    CONSTRAINT books_description_control CHECK (description !~ '[\u0001-\u0008\u000b-\u001f\u007f-\u009f]'),

    CONSTRAINT books_version_positive CHECK (version >= 1)
);

COMMENT ON COLUMN books.published_year IS 'astronomical year: 0 is 1 BC, -1 is 2 BC; NULL when not known';
COMMENT ON COLUMN books.language IS 'RFC 5646 tag in the case of its section 2.1.1; NULL when not known';

-- One index for each order of a list. Titles sort by code point ("C"): an order that does not change when the operating
-- system's or ICU's collation data does, which would silently corrupt the index, and that is the same on every server a
-- dump is restored to. Books without a year come last in both directions, so each direction has its own stand-in for NULL
-- beyond the range of years, and a page's condition stays one row comparison.
CREATE INDEX books_title_idx ON books (title COLLATE "C", id);
CREATE INDEX books_year_ascending_idx ON books (coalesce(published_year, 32767), id);
CREATE INDEX books_year_descending_idx ON books (coalesce(published_year, -32768), id);

-- +goose Down

DROP TABLE books;
