package postgres_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
)

var quiet = slog.New(slog.DiscardHandler)

// relations lists what is in the schema, apart from the migrations' own table.
func relations(t *testing.T, d *pgtest.Database) []string {
	t.Helper()
	rows, err := d.Conn(t, d.Owner).Query(t.Context(), `
		SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'goose_db_version%'
		UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestMigrationsGoUpDownAndUpAgain(t *testing.T) {
	t.Parallel()
	d := pgtest.Empty(t)
	if err := postgres.Migrate(t.Context(), d.Owner, quiet); err != nil {
		t.Fatal(err)
	}
	first := relations(t, d)
	if len(first) == 0 {
		t.Fatal("the migrations made nothing")
	}
	if err := postgres.Down(t.Context(), d.Owner, quiet); err != nil {
		t.Fatal(err)
	}
	if left := relations(t, d); len(left) > 0 {
		t.Errorf("down left %v", left)
	}
	if err := postgres.Migrate(t.Context(), d.Owner, quiet); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, relations(t, d)); diff != "" {
		t.Errorf("second up differs from the first (-first +second):\n%s", diff)
	}
	if err := d.Store(t).Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMigrateMayRunTwiceAtOnceAndAgain(t *testing.T) {
	t.Parallel()
	d := pgtest.Empty(t)
	var log lockedBuffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := postgres.Migrate(t.Context(), d.Owner, logger); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	files, err := fs.Glob(postgres.Migrations(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "migration applied"); n != len(files) {
		t.Errorf("%d migrations were logged as applied, want %d:\n%s", n, len(files), log.String())
	}
	if !strings.Contains(log.String(), "schema is up to date") {
		t.Errorf("the second run does not say that nothing was to do:\n%s", log.String())
	}
}

func TestMigrateLeavesANewerSchemaAlone(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	exec(t, d, d.Owner, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	if err := postgres.Migrate(t.Context(), d.Owner, quiet); err != nil {
		t.Errorf("migrate from a newer schema: %v", err)
	}
}

func TestMigrateNamesTheMissingGroupRoleAndChangesNothing(t *testing.T) {
	t.Parallel()
	d := pgtest.WithoutGroupRole(t)
	err := postgres.Migrate(t.Context(), d.Owner, quiet)
	if err == nil || !strings.Contains(err.Error(), `CREATE ROLE "`+d.Owner.Name+`_app" NOLOGIN`) {
		t.Errorf("migrate: %v, want an error with the statement that mends it", err)
	}
	var tables int
	conn := d.Conn(t, d.Owner)
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != 0 {
		t.Errorf("the refused migration left %d tables", tables)
	}
}

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

// lockedBuffer may be written to from several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
