package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"bookshelf/app/internal/postgres/pgtest"
)

func TestServingRoleCannotChangeTheSchema(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	for _, sql := range []string{
		"CREATE TABLE mine (id int)",
		"CREATE SCHEMA mine",
		"CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"ALTER TABLE books ADD COLUMN mine int",
		"ALTER TABLE books DROP CONSTRAINT books_isbn13_key",
		"ALTER TABLE books DISABLE TRIGGER ALL",
		"CREATE INDEX mine ON books (title)",
		"DROP INDEX books_title_idx",
		"DROP TABLE books",
		"TRUNCATE books",
		"DELETE FROM api_tokens",
		"INSERT INTO book_events (book_id, action, actor, version, after) VALUES (1, 'create', 'x', 1, '{}')",
		"UPDATE book_events SET actor = 'somebody else'",
		"DELETE FROM book_events",
		"TRUNCATE book_events",
		"SELECT record_book_events()",
		"UPDATE api_tokens SET scopes = '{admin}'",
		"UPDATE api_tokens SET created_at = now()",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (3, true)",
		"DELETE FROM goose_db_version",
		"SELECT setval(pg_get_serial_sequence('books', 'id'), 1)",
		"INSERT INTO books (id, title, authors) VALUES (7, 'Emma', '{Jane Austen}')", // GENERATED ALWAYS
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			err := tryExec(t, d, d.App, sql)
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) || (pgErr.Code != "42501" && pgErr.Code != "428C9") {
				t.Errorf("%v, want a refusal", err)
			}
		})
	}
	for _, sql := range []string{
		"INSERT INTO books (title, authors) VALUES ('Emma', '{Jane Austen}')",
		"UPDATE books SET version = version + 1",
		"DELETE FROM books",
		"SELECT version_id FROM goose_db_version",
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			if err := tryExec(t, d, d.App, sql); err != nil {
				t.Errorf("%v, want it allowed", err)
			}
		})
	}
}
